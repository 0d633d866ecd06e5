"""The part of the runner that runs in the container: standard library only, any CPython from 3.7 up."""
