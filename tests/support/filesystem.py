"""Small file systems that really fill up and really turn read-only: ext4 on a loop device, which only root can mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def may_mount() -> str | None:
    """Why a file system cannot be mounted here; `None` if it can."""
    if os.geteuid() != 0:
        return "only root may mount"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    return None


class FileSystem:
    """A mounted ext4 of its own."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image = image
        self.folder = folder

    @property
    def free(self) -> int:
        """Bytes that are left."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self) -> Path:
        """Takes all that is left, to the last block, with one file."""
        filler = self.folder / "filler"
        with filler.open("ab", buffering=0) as file:
            for piece in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(bytes(piece))
                except OSError:
                    pass
            try:
                os.fsync(file.fileno())
            except OSError:
                pass
        return filler

    def fail(self) -> None:
        """What ext4 does when it finds itself damaged: it turns read-only, whoever has files open."""
        device = _run("findmnt", "--noheadings", "--output", "SOURCE", str(self.folder)).strip()
        Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("asked for by a test")

    def repair(self) -> None:
        """What an operator does then. Nobody may have files open."""
        _run("umount", str(self.folder))
        subprocess.run(["e2fsck", "-fy", str(self.image)], capture_output=True, timeout=60, check=False)
        self.mount()

    def mount(self) -> None:
        # A damaged file system turns read-only.
        _run("mount", "--options", "loop,errors=remount-ro", str(self.image), str(self.folder))

    def remount(self, options: str) -> None:
        _run("mount", "--options", f"remount,{options}", str(self.folder))


@contextmanager
def mounted(where: Path, size: str) -> Iterator[FileSystem]:
    """An ext4 of `size`, mounted under `where` until the end."""
    image, folder = where / "image", where / "mounted"
    folder.mkdir()
    _run("truncate", "--size", size, str(image))
    # No blocks are kept for root.
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    filesystem = FileSystem(image, folder)
    filesystem.mount()
    try:
        yield filesystem
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
