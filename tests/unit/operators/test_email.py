"""Mail by the server that the environment names, tried with one that listens here."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airdock.dag.exceptions import AirflowException
from airdock.operators.email import EmailOperator, send_email
from airdock.sdk import DAG


class Post(threading.Thread):
    """Takes one mail; `lines` is what the other side said."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.lines: list[str] = []

    def run(self) -> None:
        side, _ = self.listening.accept()
        with side, side.makefile("rw", newline="\r\n") as file:
            file.write("220 here\n")
            file.flush()
            is_data = False
            for line in file:
                text = line.rstrip("\r\n")
                self.lines.append(text)
                if is_data and text != ".":
                    continue
                is_data = text.upper() == "DATA"
                file.write("354 go on\n" if is_data else "221 bye\n" if text.upper() == "QUIT" else "250 fine\n")
                file.flush()


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    made = Post()
    made.start()
    monkeypatch.setenv("AIRFLOW__SMTP__SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("AIRFLOW__SMTP__SMTP_PORT", str(made.port))
    monkeypatch.setenv("AIRFLOW__SMTP__SMTP_MAIL_FROM", "me@here")
    yield made
    made.listening.close()


def test_a_mail(post: Post, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("attached")
    send_email("a@b; c@d", "Hello", "<p>Hi</p>", files=[str(tmp_path / "a.txt")], cc=["e@f"], bcc="g@h",
               custom_headers={"X-Own": "1"})  # fmt: skip
    post.join(10)
    assert [line for line in post.lines if line.lower().startswith("rcpt")] == [
        "rcpt TO:<a@b>", "rcpt TO:<c@d>", "rcpt TO:<e@f>", "rcpt TO:<g@h>",
    ]  # fmt: skip
    for line in ("Subject: Hello", "From: me@here", "To: a@b, c@d", "Cc: e@f", "X-Own: 1", "<p>Hi</p>"):
        assert line in post.lines
    assert any('filename="a.txt"' in line for line in post.lines)
    assert not any("g@h" in line for line in post.lines if not line.lower().startswith("rcpt"))


def test_as_a_task(post: Post, running: Any) -> None:
    with DAG("d"):
        made = EmailOperator(task_id="t", to="a@b", subject="On {{ ds }}", html_content="{{ ds }}")
    context = running(made)
    made.render_template_fields(context)
    made.execute(context)
    post.join(10)
    assert "Subject: On 2026-01-02" in post.lines


def test_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__SMTP__SMTP_HOST", raising=False)
    with pytest.raises(AirflowException, match="expected AIRFLOW__SMTP__SMTP_HOST in the environment"):
        send_email("a@b", "s", "c")
