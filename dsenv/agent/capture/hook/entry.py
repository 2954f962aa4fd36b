"""Copied as sitecustomize.py. Every Python that the command starts reads it, old ones too: plain syntax."""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code=import-not-found
import sys


class Parts:
    """Finds and loads our modules, which lie in one file: to make many small ones takes longer than to run them.

    `parts` is a dictionary of texts. `parts.TAG` has byte code of Pythons of that tag; whoever finds none leaves it for
    the next process.
    """

    def __init__(self, folder):
        import marshal

        self.file = folder + "/parts." + str(sys.implementation.cache_tag)
        self.folder = folder + "/_dsenv_hook"
        self.compiled = False
        try:
            with open(self.file, "rb") as file:
                self.parts = marshal.loads(file.read())  # noqa: S302 - made by our capture
        except (OSError, EOFError, ValueError, TypeError):
            with open(folder + "/parts", "rb") as file:
                self.parts = marshal.loads(file.read())  # noqa: S302 - see above

    def find_spec(self, name, path=None, target=None):
        package, _, module = name.partition(".")
        if package != "_dsenv_hook" or (module or "program") not in self.parts:
            return None
        place = self.folder + "/" + (module or "program") + ".py"
        spec = sys.modules["_frozen_importlib"].ModuleSpec(name, self, origin=place, is_package=not module)
        spec.has_location = True
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__.partition(".")[2]
        if not name:
            module.finder = self  # for what is loaded later
        exec(self.code(name or "program", module.__file__), module.__dict__)  # noqa: S102 - our own file

    def code(self, name, place):
        import marshal

        part = self.parts[name]
        if isinstance(part, bytes):
            code = marshal.loads(part)  # noqa: S302 - see above
            sys.modules["_imp"]._fix_co_filename(code, place)
            return code
        code = compile(part, place, "exec", dont_inherit=True)
        self.parts[name] = marshal.dumps(code)
        self.compiled = True
        return code

    def keep(self):
        """Spare the next process what this one has compiled."""
        import marshal
        import os

        if not self.compiled:
            return
        beside = "{}.{}".format(self.file, os.getpid())
        try:
            with open(beside, "wb") as file:
                file.write(marshal.dumps(self.parts))
            os.rename(beside, self.file)
        except OSError:
            pass


def _chain():
    folder = __file__.replace("\\", "/").rpartition("/")[0]
    # What follows is what the program would have seen without us.
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    sys.path_importer_cache.pop(folder, None)
    if sys.version_info >= (3, 9):
        try:
            parts = Parts(folder)
            sys.meta_path.insert(0, parts)
            try:
                import _dsenv_hook
            finally:
                sys.meta_path.remove(parts)
                for name in [name for name in sys.modules if name.partition(".")[0] == "_dsenv_hook"]:
                    del sys.modules[name]
            _dsenv_hook.start(folder)
            parts.keep()
        except Exception:  # noqa: BLE001 - the program comes first, whatever is wrong with us
            pass
    sys.modules.pop("sitecustomize", None)
    import sitecustomize  # noqa: F401 - the program's own, if any


_chain()
