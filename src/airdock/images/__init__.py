"""Images on this machine: blobs, manifests, tags, unpacked layers."""
