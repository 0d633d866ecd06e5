"""A container spec to a running container.

    spec        what it is to be, as an OCI configuration            ─┐ pure
    plan, ops   the steps that make its inside                       ─┘
    launcher    the client: start a launcher, run, wait, stop, call
    server      the launcher's loop: sessions, one per request
    machine     what the launcher makes of its machine: namespaces, ids, mounts, cgroups
    mounts      layers, the overlay, binds: what takes more rights than a container has
    process     a container as the launcher holds it
    child       its two first processes: pid 1, and the one that becomes the command
    command     giving up privileges, finding the program
    exec        one more command in it, from any process
    state       what is remembered of it on disk
    syscalls    every call to the kernel; recorder is its twin for tests

One container, from a launcher that is warm, costs two forks ahead of time and, when it is asked for, about seventy
system calls: the launcher mounts its overlay and opens its binds, the child attaches them, pivots and drops privileges.
"""
