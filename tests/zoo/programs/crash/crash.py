"""A job that dies by a signal, in the way that its first argument names."""

import ctypes
import os
import signal
import sys


def read(address):
    return ctypes.string_at(address)


def segfault():
    read(8)


def own_faulthandler():
    import faulthandler

    print(faulthandler.is_enabled(), flush=True)
    with open("stacks.txt", "w") as file:
        faulthandler.enable(file=file)
        read(8)


def abort():
    os.abort()


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


globals()[sys.argv[1]]()
