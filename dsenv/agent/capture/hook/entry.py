"""Copied as sitecustomize.py. Every Python that the command starts reads it, old ones too: plain syntax."""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code=import-not-found
import sys


def _chain():
    folder = __file__.replace("\\", "/").rpartition("/")[0]
    # What follows is what the program would have seen without us.
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    sys.path_importer_cache.pop(folder, None)
    if sys.version_info >= (3, 9):
        try:
            sys.path.insert(0, folder)
            try:
                import _dsenv_hook
            finally:
                sys.path.remove(folder)
                sys.path_importer_cache.pop(folder, None)
                for name in [name for name in sys.modules if name.partition(".")[0] == "_dsenv_hook"]:
                    del sys.modules[name]
            _dsenv_hook.start(folder)
        except Exception:  # noqa: BLE001 - the program comes first, whatever is wrong with us
            pass
    sys.modules.pop("sitecustomize", None)
    import sitecustomize  # noqa: F401 - the program's own, if any


_chain()
