"""OCI values: digest, reference, descriptor, manifest, config, media types."""
