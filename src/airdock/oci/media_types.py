"""The media types of images: OCI's own, Docker's equals of them, and what each says about compression."""

__all__ = [
    "CONFIG",
    "DOCKER_TO_OCI",
    "EMPTY",
    "INDEX",
    "LAYER_COMPRESSION",
    "LAYER_GZIP",
    "LAYER_TAR",
    "LAYER_ZSTD",
    "MANIFEST",
    "to_oci",
]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"

DOCKER_TO_OCI = {
    "application/vnd.docker.distribution.manifest.v2+json": MANIFEST,
    "application/vnd.docker.distribution.manifest.list.v2+json": INDEX,
    "application/vnd.docker.container.image.v1+json": CONFIG,
    "application/vnd.docker.image.rootfs.diff.tar": LAYER_TAR,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": LAYER_GZIP,
}

LAYER_COMPRESSION = {
    LAYER_TAR: "",
    LAYER_GZIP: "gzip",
    LAYER_ZSTD: "zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar": "",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": "zstd",
}


def to_oci(media_type: str) -> str:
    """The OCI name of a media type; one that has none is given back as it is."""
    return DOCKER_TO_OCI.get(media_type, media_type)
