# Copied as sitecustomize.py. Any Python that the command starts reads this, old ones too: plain syntax, no imports at need.
import sys


def _chain():
    folder = __file__.replace("\\", "/").rpartition("/")[0]
    # What follows is what the program would have seen without us.
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    sys.path_importer_cache.pop(folder, None)
    started = None
    if sys.version_info >= (3, 9):
        try:
            sys.path.insert(0, folder)
            try:
                import _dsenv_hook as started
            finally:
                sys.path.remove(folder)
                sys.path_importer_cache.pop(folder, None)
                sys.modules.pop("_dsenv_hook", None)
            started.start(folder)
        except Exception:  # noqa: BLE001 - the program comes first, whatever is wrong with us
            pass
    sys.modules.pop("sitecustomize", None)
    import sitecustomize  # noqa: F401 - the one that we stand in front of; site ignores that there is none


_chain()
