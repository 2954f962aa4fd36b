"""Copied as `__main__.py` into the agent's archive. Every Python may come by: plain syntax.

zipimport reads, inflates and unmarshals a module twice: to find it, and to load it. What capture needs lies in one
piece therefore, as byte code of the Python that made the archive. Any other Python leaves it alone.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
import sys


class Bundle:
    """Finds and loads modules of the archive that lie in one piece: `modules` is name to file and byte code."""

    def __init__(self, archive, modules):
        self.archive, self.modules, self.places = archive, modules, {}

    def find_spec(self, name, path=None, target=None):
        if name not in self.modules:
            return None
        place = self.archive.archive + "/" + self.modules[name][0]
        self.places[name] = place
        is_package = place.endswith("/__init__.py")
        spec = sys.modules["_frozen_importlib"].ModuleSpec(name, self, origin=place, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations.append(place.rpartition("/")[0])
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        import marshal

        _, code = self.modules.pop(module.__name__)
        exec(marshal.loads(code), module.__dict__)  # noqa: S102, S302 - made with the archive

    def get_data(self, path):
        return self.archive.get_data(path)

    def get_source(self, name):
        return self.archive.get_data(self.places[name]).decode("utf-8")


def use_bundle(archive):
    import marshal

    try:
        data = archive.get_data("{}/bundle.{}".format(archive.archive, sys.implementation.cache_tag))
        if data[:4] == sys.modules["_frozen_importlib_external"].MAGIC_NUMBER:
            sys.meta_path.insert(0, Bundle(archive, marshal.loads(memoryview(data)[4:])))  # noqa: S302 - see above
    except (OSError, EOFError, ValueError, TypeError):
        pass  # the modules are in the archive one by one, too


if __name__ == "__main__":
    use_bundle(__spec__.loader)

    from dsenv.agent.__main__ import leave

    leave()
