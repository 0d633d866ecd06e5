"""A task that sends a mail."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

from airdock.dag.exceptions import AirflowException
from airdock.dag.operator import BaseOperator

__all__ = ["EmailOperator", "send_email"]

_SECTION: Final = "AIRFLOW__SMTP__"


class EmailOperator(BaseOperator):
    """Sends `html_content` and `files` to `to`, by the server that the environment names: see `send_email`."""

    template_fields: Sequence[str] = ("to", "subject", "from_email", "html_content", "files", "cc", "bcc")
    template_ext: Sequence[str] = (".html",)

    def __init__(
        self,
        *,
        to: str | Iterable[str],
        subject: str,
        html_content: str,
        from_email: str | None = None,
        files: Sequence[str] | None = None,
        cc: str | Iterable[str] | None = None,
        bcc: str | Iterable[str] | None = None,
        mime_subtype: str = "mixed",
        mime_charset: str = "utf-8",
        conn_id: str | None = None,
        custom_headers: dict[str, str] | None = None,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.to, self.cc, self.bcc = to, cc, bcc
        self.subject, self.html_content = subject, html_content
        self.from_email = from_email
        self.files = list(files or ())
        self.custom_headers = custom_headers

    @classmethod
    def without_effect(cls, arguments: Any) -> list[str]:
        return [name for name in ("conn_id", "mime_subtype", "mime_charset") if arguments.get(name)]

    def execute(self, context: Any) -> None:
        send_email(
            self.to,
            self.subject,
            self.html_content,
            files=self.files,
            cc=self.cc,
            bcc=self.bcc,
            from_email=self.from_email,
            custom_headers=self.custom_headers,
        )


def send_email(
    to: str | Iterable[str],
    subject: str,
    html_content: str,
    files: Sequence[str] | None = None,
    dryrun: bool = False,
    cc: str | Iterable[str] | None = None,
    bcc: str | Iterable[str] | None = None,
    mime_subtype: str = "mixed",
    mime_charset: str = "utf-8",
    conn_id: str | None = None,
    custom_headers: dict[str, str] | None = None,
    *,
    from_email: str | None = None,
    **_: Any,
) -> None:
    """Send a mail by the server in AIRFLOW__SMTP__SMTP_HOST of the environment, AirflowException where none is named.

    _SMTP_PORT, _SMTP_MAIL_FROM, _SMTP_USER, _SMTP_PASSWORD, _SMTP_STARTTLS and _SMTP_SSL are looked at too.
    """
    import smtplib  # with what it needs it is long to import, and few tasks send mail

    host = _setting("SMTP_HOST")
    if not host:
        raise AirflowException(f"expected {_SECTION}SMTP_HOST in the environment to send mail by, found none")
    message = _message(to, subject, html_content, files or (), cc, from_email)
    for name, value in (custom_headers or {}).items():
        message[name] = value
    if dryrun:
        return
    kind = smtplib.SMTP_SSL if _is_set("SMTP_SSL") else smtplib.SMTP
    with kind(host, int(_setting("SMTP_PORT") or 25)) as server:
        if _is_set("SMTP_STARTTLS"):
            server.starttls()
        if _setting("SMTP_USER"):
            server.login(_setting("SMTP_USER"), _setting("SMTP_PASSWORD"))
        server.send_message(message, to_addrs=[*_addresses(to), *_addresses(cc), *_addresses(bcc)])


def _message(to: Any, subject: str, html: str, files: Sequence[str], cc: Any, sender: str | None) -> Any:
    from email.message import EmailMessage

    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = sender or _setting("SMTP_MAIL_FROM") or "airdock@localhost"
    message["To"] = ", ".join(_addresses(to))
    if cc:
        message["Cc"] = ", ".join(_addresses(cc))
    message.set_content(html, subtype="html")
    for path in files:
        with open(path, "rb") as file:
            name = path.rpartition("/")[2]
            message.add_attachment(file.read(), maintype="application", subtype="octet-stream", filename=name)
    return message


def _addresses(given: Any) -> list[str]:
    if not isinstance(given, str):
        return list(given or ())
    return [each.strip() for each in given.replace(";", ",").split(",") if each.strip()]


def _setting(name: str) -> str:
    return os.environ.get(_SECTION + name, "")


def _is_set(name: str) -> bool:
    return _setting(name).lower() in ("t", "true", "1", "yes", "on")
