import os


def check(path):
    mode = os.stat(path).st_mode & 0o777
    if not mode & 0o044:
        raise PermissionError(f"nobody else can read it: mode {mode:o}")


open("report.csv", "w").close()
check("report.csv")
