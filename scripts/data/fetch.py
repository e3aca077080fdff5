"""Fetch what the data set is made of, from the package registries only.

Debian packages come through `apt-get download` (no root needed) and are unpacked with `dpkg-deb -x`; the scores come out
of the `music21` wheel on PyPI, of which only the `corpus` folder is read (music21 itself is never imported). Everything
is kept under the cache folder, so a second run fetches nothing.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

MUSIC21 = "music21==10.5.1"
SOUNDFONT_PACKAGE = "fluid-soundfont-gm"
SOUNDFONT = Path("usr/share/sounds/sf2/FluidR3_GM.sf2")
TOOLS = {
    "fluidsynth": "apt-get install fluidsynth",
    "apt-get": "a Debian or Ubuntu system, or a container of one (tested on Debian 12)",
    "dpkg-deb": "apt-get install dpkg",
}


class Missing(Exception):
    """Something that the preparation needs is not there; the message says what and how to get it."""


def check_tools():
    """Raise `Missing` with a line for every program that is not on the path."""
    lacking = [f"`{tool}` is missing; hint: {hint}" for tool, hint in TOOLS.items() if shutil.which(tool) is None]
    if lacking:
        raise Missing("\n".join(lacking))


def run(command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        why = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Missing(f"`{' '.join(map(str, command))}` failed: {why[-1] if why else 'no message'}; hint: check the network and try `apt-get update`")


def whole(target, make):
    """Make the folder `target` through `make(folder)`; an interrupted `make` leaves no `target` behind."""
    if target.exists():
        return target
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    make(part)
    part.rename(target)
    return target


def debian(package, cache):
    """The folder that holds the unpacked files of a Debian package; zip archives (`.pk3`) inside are unpacked in place."""

    def make(folder):
        print(f"fetching {package}", file=sys.stderr)
        run(["apt-get", "download", package], folder)
        deb = next(folder.glob("*.deb"), None)
        if deb is None:
            raise Missing(f"`apt-get download {package}` left no file; hint: is the package in your distribution?")
        run(["dpkg-deb", "-x", deb.name, "."], folder)
        deb.unlink()
        for archive in list(folder.rglob("*.pk3")):
            with zipfile.ZipFile(archive) as z:
                z.extractall(archive.parent)
            archive.unlink()

    return whole(cache / package, make)


def soundfont(cache):
    """Path of FluidR3 GM: the installed one, or one unpacked into the cache."""
    installed = Path("/") / SOUNDFONT
    return installed if installed.exists() else debian(SOUNDFONT_PACKAGE, cache) / SOUNDFONT


def scores(cache):
    """The folder of music21's corpus (`bach/*.mxl`, `ryansMammoth/*.abc`)."""

    def make(folder):
        print(f"fetching {MUSIC21}", file=sys.stderr)
        run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", MUSIC21], folder)
        wheel = next(folder.glob("*.whl"))
        with zipfile.ZipFile(wheel) as z:
            z.extractall(folder, [n for n in z.namelist() if n.startswith(("music21/corpus/bach/", "music21/corpus/ryansMammoth/"))])
        wheel.unlink()

    return whole(cache / MUSIC21.replace("==", "-"), make) / "music21" / "corpus"
