"""The files of shmstruct (format 2, lock page 2) for Python 3.9 and later, on Linux. Standard library only. MIT License.

A program that uses this module is a full participant: the same lock in the same queue, the same transactions, snapshots
without a lock, the same wake-ups, the same repair.

    from shmstruct import Editor, Reader

    editor = Editor("Robot", dir="/run/robot", tag="left")      # by the schema in the file
    with editor as robot:                                       # a transaction: rolled back by an exception
        robot.speed = 3.0

    reader = Reader(Robot, dir="/run/robot", tag="left")        # by a ctypes.Structure, which is checked
    for version in reader.changes():
        print(reader.snapshot().speed)

Times are in seconds, as everywhere in Python; None is no limit. Publisher and Queue need libatomic.so.1 (Debian: libatomic1) and
say so without it. In a forked child all objects are closed.
"""
import ctypes
import errno
import fcntl
import functools
import json
import mmap
import numbers
import operator
import os
import platform
import stat
import struct
import sys
import threading
import time
import warnings
import weakref
import zlib

__all__ = [
    "ClosedError", "DeadlockError", "Document", "Editor", "FileFormatError", "FileMissingError", "LayoutMismatchError", "LeaseLostError",
    "LockTimeoutError", "Publisher", "Queue", "Reader", "ShmError", "Subscriber", "UnsupportedError",
    "UntrustedFileError",
    "numpy_view", "structure_from_schema",
]


class ShmError(Exception):
    """Base of the errors below."""


class FileMissingError(ShmError):
    """There is no such file, or no lock file beside it."""


class FileFormatError(ShmError):
    """No file of shmstruct, one of another format or ABI, or a damaged one."""


class LayoutMismatchError(ShmError):
    """The file holds another struct than the class declares."""


class LockTimeoutError(ShmError):
    """A lock, or a publisher's place, was not to be had in time."""


class DeadlockError(ShmError):
    """Waiting would never end: this thread holds a lock that conflicts with the one it asks for."""


class ClosedError(ShmError):
    """Used after close(), or in a forked child."""


class UntrustedFileError(ShmError):
    """Another user owns the file or may write to it, and could kill its users by truncating it; `trust=True` accepts that."""


class UnsupportedError(ShmError):
    """Something that this machine lacks, such as libatomic.so.1."""


class LeaseLostError(ShmError):
    """The job was given to another worker meanwhile."""


# ---- words of shared memory

_libc = ctypes.CDLL(None, use_errno=True)
_ARM = platform.machine() in ("aarch64", "arm64")
_SYS_FUTEX = 98 if _ARM else 202
_NO_ATOMICS = "{} needs libatomic.so.1, which is not here; on Debian and Ubuntu it is in the package libatomic1"


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Atomics:
    """Operations on the 32-bit word at an address, by libatomic."""

    def __init__(self):
        library = ctypes.CDLL("libatomic.so.1")
        address, word = ctypes.c_void_p, ctypes.c_uint32
        # By text: Python changes names with two underscores inside a class.
        self._add = getattr(library, "__atomic_fetch_add_4")
        self._add.argtypes, self._add.restype = [address, word, ctypes.c_int], word
        self._swap = getattr(library, "__atomic_compare_exchange_4")
        self._swap.argtypes = [address, address, word, ctypes.c_int, ctypes.c_int]
        self._swap.restype = ctypes.c_bool
        self._exchange = getattr(library, "__atomic_exchange_4")
        self._exchange.argtypes, self._exchange.restype = [address, word, ctypes.c_int], word
        self._store = getattr(library, "__atomic_store_4")
        self._store.argtypes, self._store.restype = [address, word, ctypes.c_int], None
        self.fence = library.atomic_thread_fence
        self.fence.argtypes, self.fence.restype = [ctypes.c_int], None

    def add(self, address, count):
        return self._add(address, count, 5)

    def store(self, address, value):
        self._store(address, value, 5)

    def exchange(self, address, value):
        return self._exchange(address, value, 5)

    def swap(self, address, expected, value):
        return self._swap(address, ctypes.byref(ctypes.c_uint32(expected)), value, 5, 5)


def _load_atomics():
    try:
        return _Atomics()
    except (OSError, AttributeError):
        return None


_atomics = _load_atomics()


def _need_atomics(what):
    if _atomics is None:
        raise UnsupportedError(_NO_ATOMICS.format(what))
    return _atomics


_fence_word = ctypes.c_uint32()


def _fence():
    """Keeps loads and stores in order. On x86-64 the processor does, and each call here is one for the compiler."""
    if not _ARM:
        return
    if _atomics is not None:
        _atomics.fence(5)
    else:
        # futex(2) begins a wake with a full barrier: it pairs with those who are about to sleep.
        _futex_wake(ctypes.addressof(_fence_word), 1)


def _futex_wait(address, expected, seconds):
    timeout = _Timespec(int(seconds), int(seconds % 1 * 1e9))
    _libc.syscall(ctypes.c_long(_SYS_FUTEX), ctypes.c_void_p(address), ctypes.c_int(0), ctypes.c_uint32(expected),
                  ctypes.byref(timeout), None, ctypes.c_int(0))


def _futex_wake(address, count):
    _libc.syscall(ctypes.c_long(_SYS_FUTEX), ctypes.c_void_p(address), ctypes.c_int(1), ctypes.c_int(count), None, None,
                  ctypes.c_int(0))


def _futex_wait_as(address, expected, until, bits):
    """Sleeps until a time of CLOCK_MONOTONIC; whether that was reached. 9: FUTEX_WAIT_BITSET."""
    time_ = _Timespec(int(until), int(until % 1 * 1e9))
    result = _libc.syscall(ctypes.c_long(_SYS_FUTEX), ctypes.c_void_p(address), ctypes.c_int(9), ctypes.c_uint32(expected),
                           ctypes.byref(time_), None, ctypes.c_uint32(bits))
    return result != 0 and ctypes.get_errno() == errno.ETIMEDOUT


def _futex_wake_of(address, count, bits):
    """Passes by those that sleep with other bits; how many it woke. 10: FUTEX_WAKE_BITSET."""
    return _libc.syscall(ctypes.c_long(_SYS_FUTEX), ctypes.c_void_p(address), ctypes.c_int(10), ctypes.c_int(count), None,
                         None, ctypes.c_uint32(bits))


def _futex_has_sleepers(address):
    """Whether a thread sleeps there: the first one is moved from this futex to this futex. 3: FUTEX_REQUEUE."""
    return _libc.syscall(ctypes.c_long(_SYS_FUTEX), ctypes.c_void_p(address), ctypes.c_int(3), ctypes.c_int(0),
                         ctypes.c_void_p(1), ctypes.c_void_p(address), ctypes.c_int(0)) != 0


class _Mapping:
    """A mapped file. `words` are its 32-bit words, each read and stored whole; `address` is 0 on a read-only mapping."""

    def __init__(self, fd, size, writable):
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        self.memory = mmap.mmap(fd, size, mmap.MAP_SHARED, prot)
        self.size = size
        self.words = memoryview(self.memory)[: size // 4 * 4].cast("I")
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory)) if writable else 0

    def publish(self, word, value):
        """A store that all stores before it precede, and all after it follow."""
        _fence()
        self.words[word] = value & 0xFFFFFFFF
        _fence()

    def version(self, word):
        return self.words[word] | self.words[word + 1] << 32

    def set_version(self, word, value):
        self.words[word] = value & 0xFFFFFFFF
        self.words[word + 1] = value >> 32 & 0xFFFFFFFF

    def close(self):
        self.words.release()
        try:
            self.memory.close()
        except BufferError:
            # A struct of the caller's lies on it: it goes with the last of them.
            pass


# ---- the lock

_PAGE_MAGIC, _PAGE_VERSION, _PAGE_BYTES = 0x4B4C4853, 2, 4096
_WAITING, _POLLING, _LOOKS, _RELEASED, _LEFT = 16, 17, 18, 19, 20
_CHANGES, _WAKE_UNTIL, _CANNOT_WAKE, _WATCHED, _SLEEPER, _GENERATIONS = 32, 33, 34, 35, 36, 48
# The sleeper that watches looks so often whether a wake was lost, in seconds; one that has not for so many ms is gone.
_WATCH_EVERY, _WATCH_LOST_MS = 0.008, 24
_F_OFD_SETLK = 37
_SHARED, _EXCLUSIVE = 1, 2


def _open(path, flags, mode=0o600):
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, mode)


# The sticky bit: a new file has it until its content tells whose it is; an empty file without it may be any program's.
_BEING_MADE = 0o1000
_PIDS_BYTES = 4 * 1023


def _are_pids(fd):
    """Whether an owners' file is one: process ids, or nothing yet in a file that is just being made."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _PIDS_BYTES or status.st_size % 4:
        return False
    if status.st_size == 0:
        return bool(status.st_mode & _BEING_MADE)
    data = os.pread(fd, status.st_size, 0)
    if len(data) != status.st_size:
        return False
    pids = struct.unpack("=%dI" % (len(data) // 4), data)
    # Owner 0 is never there: so the file is one, whatever a peer has stored into the rest.
    return (len(data) == _PIDS_BYTES and pids[0] == 0) or max(pids) <= 1 << 22


def _flock(fd, mode):
    operation = {0: fcntl.LOCK_UN, _SHARED: fcntl.LOCK_SH | fcntl.LOCK_NB, _EXCLUSIVE: fcntl.LOCK_EX | fcntl.LOCK_NB}[mode]
    try:
        fcntl.flock(fd, operation)
        return True
    except BlockingIOError:
        return False


def _record_lock(fd, mode, start=0, length=0):
    kind = {0: fcntl.F_UNLCK, _SHARED: fcntl.F_RDLCK, _EXCLUSIVE: fcntl.F_WRLCK}[mode]
    request = struct.pack("@hhqqi4x", kind, os.SEEK_SET, start, length, 0)
    try:
        fcntl.fcntl(fd, _F_OFD_SETLK, request)
        return True
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise


def _is_ahead(wake_until, number):
    return (wake_until - number & 0xFFFFFFFF) >> 16 == 0


def _stamp(now):
    """A time as the page has it: milliseconds of CLOCK_MONOTONIC that wrap, never 0."""
    return int(now * 1000) & 0xFFFFFFFF | 1


class _Page:
    """The words beside the lock that make it fair and wake sleepers; see docs/internals/locking.md."""

    def __init__(self, fd):
        self.map = _Mapping(fd, _PAGE_BYTES, True)
        self.words = self.map.words

    @staticmethod
    def open(lock_path, create, trust):
        """The page; None without one that this process may write."""
        path = lock_path + "-page"
        try:
            fd = _open(path, os.O_RDWR | (os.O_CREAT if create else 0))
        except OSError:
            return None
        try:
            is_fine = (trust or _is_trusted(os.fstat(fd))) and _Page._prepare(fd)
            return _Page(fd) if is_fine else None
        except OSError:
            return None
        finally:
            os.close(fd)

    @staticmethod
    def _prepare(fd):
        size = os.fstat(fd).st_size
        magic, version = struct.unpack("<II", os.pread(fd, 8, 0).ljust(8, b"\0"))
        if size > _PAGE_BYTES and magic != _PAGE_MAGIC:
            return False
        if (magic, version) == (_PAGE_MAGIC, _PAGE_VERSION) and size >= _PAGE_BYTES:
            return True
        os.posix_fallocate(fd, 0, _PAGE_BYTES)
        if magic not in (0, _PAGE_MAGIC):
            os.pwrite(fd, bytes(_PAGE_BYTES), 0)
        os.pwrite(fd, struct.pack("<II", _PAGE_MAGIC, _PAGE_VERSION), 0)
        return True

    def add(self, word):
        """Adds one; the number before."""
        if _atomics is not None:
            return _atomics.add(self.map.address + 4 * word, 1)
        # Two of these at a time may count one: sleepers look more often from now on.
        self.words[_CANNOT_WAKE] = 1
        number = self.words[word]
        self.words[word] = number + 1 & 0xFFFFFFFF
        return number

    def wake(self, word, count):
        _futex_wake(self.map.address + 4 * word, count)

    def sleep(self, word, seen, seconds):
        _futex_wait(self.map.address + 4 * word, seen, seconds)

    def announce(self):
        """Counts a commit, and wakes the first sleepers if any sleep."""
        number = self.add(_CHANGES)
        if _is_ahead(self.words[_WAKE_UNTIL], number + 1 & 0xFFFFFFFF):
            # The watcher is woken only if it sleeps alone.
            if not self.words[_WATCHED] or _futex_wake_of(self.map.address + 4 * _CHANGES, 1, 1) <= 0:
                self.wake(_CHANGES, 1)

    def sleep_until_change(self, seen, seconds):
        wanted = seen + 1 & 0xFFFFFFFF
        current = self.words[_WAKE_UNTIL]
        while not _is_ahead(current, wanted):
            if _atomics is None:
                self.words[_WAKE_UNTIL] = wanted
                break
            if _atomics.swap(self.map.address + 4 * _WAKE_UNTIL, current, wanted):
                break
            current = self.words[_WAKE_UNTIL]
        most = 1.0 if self.words[_CANNOT_WAKE] == 0 and _atomics is not None else 0.004
        until = time.monotonic() + min(seconds, most)
        has_watched = _atomics is not None and self._watch_changes(seen, until)
        if has_watched:
            # No sleeper's number: one that was about to sleep may have counted on this watcher.
            self.words[_SLEEPER] = 0xFFFFFFFF
            # First this, then the wakes: one of those that are woken finds that none watches.
            _atomics.store(self.map.address + 4 * _WATCHED, 0)
        else:
            self._sleep_unwatched(seen, until)
        if has_watched or self.words[_CHANGES] != seen:
            self.wake(_CHANGES, 2)

    def _sleep_unwatched(self, seen, until):
        """Sleeps without watching. One that is alone looks every 100 ms whether a writer has come that cannot wake."""
        address, now = self.map.address + 4 * _CHANGES, time.monotonic()
        alone = not self.words[_WATCHED] and not self.words[_CANNOT_WAKE]
        while now < until:
            end = min(until, now + 0.1) if alone else until
            if not _futex_wait_as(address, seen, end, 0xFFFFFFFF) or not alone or self.words[_CANNOT_WAKE]:
                return
            now = time.monotonic()

    def _watch_changes(self, seen, until):
        """Sleeps as the watcher, which looks every 8 ms, as long as one is needed. Whether the sleep is over."""
        address, now, cannot_wake = self.map.address + 4 * _CHANGES, time.monotonic(), self.words[_CANNOT_WAKE]
        me = hash((threading.get_native_id(), self.map.address)) & 0xFFFFFFFF or 1
        while now + _WATCH_EVERY < until and self._takes_watch(me, now):
            alone, is_new = 0, True
            # Three looks when it is alone: longer than another one takes that is about to sleep, and counts on it.
            while alone < 3:
                self.words[_WATCHED] = _stamp(now)
                is_time_over = _futex_wait_as(address, seen, now + _WATCH_EVERY, 2)
                now = time.monotonic()
                if not is_time_over or now >= until:
                    return True
                if is_new:
                    # The wake of a commit may have been lost while none watched.
                    _futex_wake(address, 2)
                    is_new = False
                if not cannot_wake and self.words[_CANNOT_WAKE]:
                    # A writer has come that cannot wake: all are to look for themselves from now on.
                    _futex_wake(address, 0x7FFFFFFF)
                    return True
                alone = 0 if _futex_has_sleepers(address) else alone + 1
            # First this, then the look whether another one came: one of the two sees the other.
            _atomics.store(self.map.address + 4 * _WATCHED, 0)
            _atomics.fence(5)
        return False

    def _takes_watch(self, me, now):
        """Whether this sleeper is to be the watcher: others sleep, and none of them has looked for 24 ms."""
        last = _atomics.exchange(self.map.address + 4 * _SLEEPER, me)
        watched = self.words[_WATCHED]
        if watched and (_stamp(now) - watched & 0xFFFFFFFF) <= _WATCH_LOST_MS:
            return False
        if last in (0, me) and not _futex_has_sleepers(self.map.address + 4 * _CHANGES):
            return False
        return _atomics.swap(self.map.address + 4 * _WATCHED, watched, _stamp(now))

    def close(self):
        self.map.close()


# The locks that a thread holds, each thread its own.
_held_by = threading.local()


class _Lock:
    """One reader-writer lock: the kernel's lock, and the turnstile in front of it, a lock of the other kind on the same file."""

    def __init__(self, path, kind, create=False, trust=False):
        self.path, self.kind, self.held, self.writable = path, kind, 0, True
        self._entered, self._entered_at, self._stuck = 0, 0.0, False
        self._looks, self._looks_since, self._stuck_until = 0, None, 0.0
        self._mine = []
        self.fd = self._open(path, create)
        self.id = _identity(os.fstat(self.fd))
        self.page = _Page.open(path, create, trust)

    def _open(self, path, create):
        try:
            return _open(path, os.O_RDWR | (os.O_CREAT if create else 0))
        except FileNotFoundError:
            raise FileMissingError("the lock file %r does not exist" % path) from None
        except PermissionError:
            self.writable = False
            return _open(path, os.O_RDONLY)

    def _try(self, mode):
        return _flock(self.fd, mode) if self.kind == 0 else _record_lock(self.fd, mode)

    def _try_gate(self, mode):
        return _record_lock(self.fd, mode) if self.kind == 0 else _flock(self.fd, mode)

    def acquire(self, mode, timeout=None):
        if self.held:
            raise DeadlockError("the lock %r is held by this object already: release it first" % self.path)
        mine = _held_by.__dict__.setdefault("locks", [])
        others = [lock.held for lock in mine if lock.id == self.id]
        if others and _EXCLUSIVE in (mode, *others):
            raise DeadlockError("this thread would wait for itself: it holds the %s lock on %r, and now wants it %s; release the first one"
                                % (_MODES[max(others)], self.path, _MODES[mode]))
        # What this thread shares with itself does not queue: a waiter in the turnstile waits for it.
        if not (others and self._try(mode)) and not self._is_free(mode):
            self._wait(mode, timeout)
        self._mine = mine
        mine.append(self)
        self.held = mode

    def _is_free(self, mode):
        for _ in range(4):
            if not self._is_open_to(mode):
                return False
            if self._try(mode):
                return True
        return False

    def release(self):
        if self in self._mine:
            self._mine.remove(self)
        self.held = 0
        self._try(0)
        page = self.page
        if page is not None and page.words[_WAITING]:
            page.add(_RELEASED)
            page.wake(_RELEASED, 0x7FFFFFFF)

    def abandon(self):
        """Gives back whatever a step has taken that an exception from a signal handler has interrupted anywhere."""
        if self._entered:
            # It may be out of the turnstile already, and must not tell others that none waits.
            self._entered = _SHARED
            self._leave()
        else:
            self._try_gate(0)
        self.release()

    def _is_open_to(self, mode):
        waits = self.page is not None and self.page.words[_WAITING] != 0
        if self.page is not None and not waits:
            return True
        if self._is_passed():
            return True
        if waits and mode == _SHARED:
            return False
        return time.monotonic() - self._entered_at < 0.001

    def _is_passed(self):
        if self._stuck:
            still = time.monotonic() < self._stuck_until if self.page is None else self.page.words[_LOOKS] == self._looks
            self._stuck = still
        return self._stuck

    def _wait(self, mode, timeout):
        start = time.monotonic()
        page = self.page
        try:
            while True:
                left = page.words[_LEFT] if page else 0
                released = page.words[_RELEASED] if page else 0
                if self._attempt(mode):
                    return
                waited = time.monotonic() - start
                rest = 1.0 if timeout is None else timeout - waited
                if rest <= 0:
                    raise LockTimeoutError("no %s lock on %r within %s s" % (_MODES[mode], self.path, timeout))
                self._sleep(left, released, min(rest, max(0.00005, min(waited / 4, 0.005))))
        except BaseException:
            self._leave()
            raise

    def _attempt(self, mode):
        if not self._entered:
            if self._is_open_to(mode) and self._try(mode):
                return True
            if not self._enter(mode):
                return False
        if self.page is not None:
            self.page.add(_LOOKS)
        if not self._try(mode):
            return False
        self._leave()
        return True

    def _enter(self, mode):
        gate = mode if self.writable or self.kind == 1 else _SHARED
        if not self._try_gate(gate):
            self._judge()
            return False
        self._entered, self._entered_at = gate, time.monotonic()
        self._stuck, self._looks_since = False, None
        if self.page is not None:
            self.page.words[_WAITING] = 1
        return True

    def _judge(self):
        now = time.monotonic()
        looks = self.page.words[_LOOKS] if self.page else 0
        if self._looks_since is None or looks != self._looks:
            self._looks, self._looks_since = looks, now
        elif now - self._looks_since >= 0.020:
            self._stuck, self._stuck_until = True, now + 1

    def _leave(self):
        if not self._entered:
            return
        page = self.page
        was_polling = page is not None and page.words[_POLLING] != 0
        if page is not None and page.words[_WAITING]:
            if self._entered == _EXCLUSIVE or (self.writable and self._try_gate(_EXCLUSIVE)):
                page.words[_WAITING] = 0
                if was_polling:
                    page.words[_POLLING] = 0
        self._try_gate(0)
        self._entered = 0
        if page is not None and not was_polling:
            page.add(_LEFT)
            page.wake(_LEFT, 1)

    def _sleep(self, left, released, seconds):
        if self.page is None:
            time.sleep(seconds)
        elif not self._entered and not self._stuck:
            self.page.sleep(_LEFT, left, seconds)
        else:
            self.page.sleep(_RELEASED, released, seconds)

    def close(self):
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
        page, self.page = self.page, None
        if page is not None:
            page.close()


_MODES = {_SHARED: "shared", _EXCLUSIVE: "exclusive"}


def _identity(status):
    return status.st_dev, status.st_ino


def _is_trusted(status):
    """Whether only this user and root can truncate a file."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022


def _is_displaced(path, identity):
    try:
        return _identity(os.lstat(path)) != identity
    except OSError:
        return True


# ---- the file

_MAGIC = 0x74637274736D6873
_DOCUMENT_MAGIC_1 = 0x6E6F736A736D6873
_FOOTER_BYTES = 128
_FOOTER = struct.Struct("<QIIBBHIQQQIIQQQ16xIIQII8x")
_CONTENTS = ("", "record", "document", "channel", "queue")
_TRANSACTIONAL, _BLOCKS, _BACKUP = 1, 2, 4
_ABI = {"x86_64": 0x18, "aarch64": 0x02}.get(platform.machine())


class _Footer:
    def __init__(self, path, data, size):
        (self.magic, self.format, self.checksum, self.content, self.lock, self.flags, self.abi, self.content_bytes,
         self.pre_image_offset, self.marks_offset, self.block_bytes, self.schema_bytes, self.schema_offset,
         self.fingerprint, self.created_at, *_) = _FOOTER.unpack(data)
        if self.magic != _MAGIC:
            raise FileFormatError("%r has no footer of shmstruct" % path)
        if self.format != 2:
            raise FileFormatError("%r has file format %d; this module reads 2" % (path, self.format))
        if not self._fits(size - _FOOTER_BYTES):
            raise FileFormatError("the footer of %r is damaged" % path)

    def _fits(self, end):
        if not 1 <= self.content <= 4 or self.lock > 1 or not 1 <= self.content_bytes <= end:
            return False
        if self.schema_bytes > 1 << 24 or not self.content_bytes <= self.schema_offset <= end - self.schema_bytes:
            return False
        return self._pre_image_fits()

    def _pre_image_fits(self):
        if not self.flags & _TRANSACTIONAL:
            return self.pre_image_offset == 0 and not self.flags & _BLOCKS
        end = self.pre_image_offset + self.content_bytes
        if self.pre_image_offset < self.content_bytes or self.pre_image_offset % 8 or end > self.schema_offset:
            return False
        if not self.flags & _BLOCKS:
            return self.block_bytes == 0 and self.marks_offset == 0
        block = self.block_bytes
        if not 64 <= block <= 1 << 30 or block & block - 1:
            return False
        count = -(-self.content_bytes // block)
        return self.marks_offset % 4 == 0 and end <= self.marks_offset <= self.schema_offset - 4 * count


class _File:
    """One open, mapped, checked file."""

    def __init__(self, path, writable, trust):
        self.path, self.writable, self._trust = path, writable, trust
        try:
            self.fd = _open(path, os.O_RDWR if writable else os.O_RDONLY)
        except FileNotFoundError:
            raise FileMissingError("there is no file %r" % path) from None
        self.map = None
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self):
        status = os.fstat(self.fd)
        self.id, size = _identity(status), status.st_size
        if not stat.S_ISREG(status.st_mode) or size < 64 or size % 64:
            raise FileFormatError("%r is no file of shmstruct, or was truncated" % self.path)
        if not self._trust and not _is_trusted(status):
            raise UntrustedFileError("other users could truncate %r and so kill this process; trust=True accepts that" % self.path)
        self.map = _Mapping(self.fd, size, self.writable)
        memory = self.map.memory
        magic, version = struct.unpack("<QI", memory[size - 64 : size - 52])
        if version == 1 and magic in (_MAGIC, _DOCUMENT_MAGIC_1):
            raise FileFormatError("%r has file format 1, of an earlier version of shmstruct" % self.path)
        if size < _FOOTER_BYTES:
            raise FileFormatError("%r has no footer of shmstruct" % self.path)
        data = memory[size - _FOOTER_BYTES : size]
        footer = self.footer = _Footer(self.path, data, size)
        schema = memory[footer.schema_offset : footer.schema_offset + footer.schema_bytes]
        if zlib.crc32(schema, zlib.crc32(data[16:96])) != footer.checksum:
            raise FileFormatError("the footer of %r is damaged (checksum)" % self.path)
        if _ABI is not None and footer.abi != _ABI:
            raise FileFormatError("%r was made on a machine with another ABI" % self.path)
        self.schema = json.loads(schema) if schema else None
        first = (size - _FOOTER_BYTES) // 4
        self.commits, self.before, self.sequence, self.superseded = first + 24, first + 26, first + 28, first + 29

    @property
    def generation(self):
        return self.map.words[self.commits + 1]

    def is_whole(self):
        return os.fstat(self.fd).st_size >= self.map.size

    def is_current(self):
        status = os.fstat(self.fd)
        return status.st_size >= self.map.size and status.st_nlink > 0 and self.map.words[self.superseded] == 0

    def close(self):
        if self.map is not None:
            self.map.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


_open_segments = weakref.WeakSet()


def _close_in_child():
    _held_by.__dict__.clear()
    for segment in list(_open_segments):
        segment._forked()


os.register_at_fork(after_in_child=_close_in_child)


def _check_name_part(part, what):
    """Refuses what could leave the directory, or look like another file in a listing, as TypeScript does."""
    if not isinstance(part, str):
        raise TypeError("%s must be a str, got %s" % (what, _show(part)))
    if "/" in part or any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in part):
        raise ValueError("%s becomes part of a file name and must not contain a slash, NUL, another control character or half a "
                         "surrogate pair, got %s" % (what, _show(part)))


def _limit(timeout):
    """A limit in seconds, checked: the one place for all of them. None is no limit; 0 and less is one look."""
    if timeout is None:
        return None
    if not isinstance(timeout, numbers.Real):
        raise TypeError("a timeout must be a number of seconds or None, got %s" % _show(timeout))
    if timeout != timeout:
        raise ValueError("a timeout must be a number of seconds or None, got nan")
    return timeout


class _Place:
    def __init__(self, content, name, dir, tag, path, lock_dir, trust):
        self.trust = trust
        if path is not None:
            self.data, self.locks = path, (path + ".lock", path + ".lockfile")
            return
        if name == "":
            raise ValueError("the name of the struct is empty: the file's name begins with it")
        for part, what in ((name, "the name of the struct"), (tag, "tag")):
            _check_name_part(part, what)
        ending = "mmap" if content == "record" else content
        stem = "%s_%s" % (name, tag)
        lock = stem if content == "record" else "%s.%s" % (stem, ending)
        self.data = os.path.join(dir, "%s.%s" % (stem, ending))
        self.locks = (os.path.join(dir, lock + ".lock"), os.path.join(lock_dir, lock + ".lockfile"))


class _NoLock:
    """Of a backup: it is no live file, and has no writers."""

    fd, kind, page, held, path = -1, 0, None, 0, ""

    def abandon(self):
        self.held = 0

    def acquire(self, mode, timeout=None):
        if mode != _SHARED:
            raise ShmError("a backup is not written to; restore it with a Manager in TypeScript")
        self.held = mode

    def release(self):
        self.held = 0

    def close(self):
        pass


def _is_in_a_step():
    """Whether a step of this module waits further down the stack: then a signal handler has come between, which calls it."""
    frame, here = sys._getframe(), globals()
    while frame is not None and frame.f_globals is here:
        frame = frame.f_back
    while frame is not None and frame.f_globals is not here:
        frame = frame.f_back
    return frame is not None


class _Use:
    """What a lock is held for. Whoever finds one that is neither finished nor `entered` knows that it was interrupted."""

    def __init__(self, statement=None):
        self.thread, self.entered, self._statement = threading.get_ident(), False, statement
        # Whether it has the lock of the file that is current: before, nothing of it can be unfinished there.
        self.has_file = False

    def is_interrupted(self):
        if self.entered and (self._statement is None or self._statement() is not None):
            return False
        return self.thread == threading.get_ident() and not _is_in_a_step()


class _Exit:
    """`__exit__`, as a with statement finds it before it calls `__enter__`: a callable that only the statement has. So one whose
    `__exit__` an exception has interrupted before its first step is known to be over."""

    def __init__(self, function):
        self._function = function

    def __get__(self, instance, owner=None):
        if instance is None:
            return self._function
        bound = functools.partial(self._function, instance)
        instance._statement = weakref.ref(bound)
        return bound


def _statement_of(instance):
    """The with statement that is just entering; None for a call by hand."""
    statement, instance._statement = instance._statement, None
    return statement if statement is not None and statement() is not None else None


class _Segment:
    """The current file of a place, and its lock: what is under the lock is always the file that is current then."""

    def __init__(self, place, content, writable, attach):
        self.place, self.content, self.writable, self._attach = place, content, writable, attach
        self.closed, self._use = False, None
        # Rolls back, under the lock, what an interrupted use has left.
        self.repair = lambda: None
        self.file = self._open()
        self._is_backup = bool(self.file.footer.flags & _BACKUP)
        try:
            self.lock = _NoLock() if self._is_backup else _Lock(place.locks[self.file.footer.lock], self.file.footer.lock, trust=place.trust)
        except BaseException:
            self.file.close()
            raise
        self._looked_at = time.monotonic()
        _open_segments.add(self)

    def _open(self):
        file = _File(self.place.data, self.writable, self.place.trust)
        try:
            kind = _CONTENTS[file.footer.content]
            if kind != self.content:
                raise FileFormatError("%r holds a %s, not a %s" % (file.path, kind, self.content))
            self._attach(file)
            return file
        except BaseException:
            file.close()
            raise

    def check(self):
        if self.closed:
            raise ClosedError("%r is closed, or was opened before fork()" % self.place.data)

    def acquire(self, mode, timeout=None, use=None):
        """Takes the lock: until release(), or for a `use` that says itself when it is entered and when it is left."""
        self.check()
        timeout = _limit(timeout)
        own = _Use() if use is None else use
        if self._use is not None and not self._is_backup and not self._heal():
            raise DeadlockError("the lock %r is held by this object already: release it first" % self.lock.path)
        try:
            self._use = own
            self._acquire(mode, timeout)
            own.has_file = True
            own.entered = use is None
        except BaseException:
            self.give_up(own)
            raise

    def _acquire(self, mode, timeout):
        while True:
            self.lock.acquire(mode, timeout)
            if self._is_current():
                return
            if self.move_on():
                continue
            if not self.file.is_whole():
                raise FileFormatError("%r was truncated while it was in use" % self.place.data)
            if self.writable:
                self.file.map.words[self.file.superseded] = 0
            return

    def release(self):
        use = self._use
        try:
            self.lock.release()
            self._use = None
        except BaseException:
            self.give_up(use)
            raise

    def give_up(self, use):
        """Ends a use wherever it stands: rolls back what is unfinished, and gives the lock and the turnstile's place back."""
        if use is None or self._use is not use or self.closed:
            return
        use.entered = False
        is_writer = use.has_file and self.lock.held == _EXCLUSIVE
        if is_writer and self.file.is_whole():
            self.repair()
        self.lock.abandon()
        self._use = None
        if is_writer:
            # It may have been committed before.
            self.announce()

    def _heal(self):
        """Ends a use that an exception from a signal handler has interrupted; False when there is one that goes on."""
        use = self._use
        if not use.is_interrupted():
            return False
        self.give_up(use)
        return True

    def run(self, mode, timeout, action):
        """The result of action() under the lock."""
        use = _Use()
        try:
            self.acquire(mode, timeout, use)
            result = action()
            self.release()
            return result
        except BaseException:
            self.give_up(use)
            raise

    def _is_current(self):
        if self._is_backup:
            return True
        if not self.file.is_current():
            return False
        now = time.monotonic()
        if now - self._looked_at < 0.1:
            return True
        if _is_displaced(self.place.data, self.file.id) or _is_displaced(self.lock.path, self.lock.id):
            return False
        # Only now: as long as another file, or none, has the name, every call finds out.
        self._looked_at = now
        return True

    def refresh(self):
        """Before a look without the lock: goes over to another file, should there be one."""
        self.check()
        if self._use is not None:
            self._heal()
        if self.lock.held or self._is_current() or self.move_on():
            return
        if not self.file.is_whole():
            raise FileFormatError("%r was truncated while it was in use" % self.place.data)

    def move_on(self):
        """Leaves file and lock for those that are there now; False when these still are the ones."""
        old, lock = self.file, self.lock
        file = self._open()
        lost = _is_displaced(lock.path, lock.id)
        same = file.id == old.id and old.is_whole()
        if same and not lost:
            file.close()
            self._attach(old)
            return False
        if lost or file.footer.lock != lock.kind:
            self.lock = _Lock(self.place.locks[file.footer.lock], file.footer.lock, trust=self.place.trust)
        if lock.held:
            lock.release()
        if self.lock is not lock:
            if lock.page is not None:
                lock.page.announce()
            lock.close()
        self.file = file
        old.close()
        return True

    def announce(self):
        if self.lock.page is not None:
            self.lock.page.announce()

    def wait(self, version_of, last, timeout):
        """Blocks until version_of() is not `last`; the new version, or None after `timeout`."""
        timeout = _limit(timeout)
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            page = self.lock.page
            seen = page.words[_CHANGES] if page else 0
            try:
                version = version_of()
            except FileMissingError:
                version = last
            if version != last:
                return version
            rest = 1.0 if end is None else end - time.monotonic()
            if rest <= 0:
                return None
            if page is not self.lock.page:
                continue
            if page is not None and self.lock.kind == 0:
                page.sleep_until_change(seen, rest)
            else:
                time.sleep(min(rest, 0.005))

    def close(self):
        self.closed = True
        _open_segments.discard(self)
        # Each step can be repeated: an exception from a signal handler may come between.
        if self.lock.fd >= 0:
            self.lock.abandon()
        self.lock.close()
        self.file.close()
        self._use = None

    def _forked(self):
        # The kernel's locks belong to the open files, which the child shares with its parent.
        self.closed = True
        for holder in (self.lock, self.file):
            if holder.fd >= 0:
                os.close(holder.fd)
                holder.fd = -1
        self.lock.held, self._use = 0, None


# ---- structs

_SCALARS = {
    name: getattr(ctypes, name)
    for name in ("c_int8 c_uint8 c_int16 c_uint16 c_int32 c_uint32 c_int64 c_uint64 c_bool c_float c_double c_longdouble "
                 "c_char c_wchar c_void_p").split()
}


def structure_from_schema(schema):
    """A ctypes class of a layout, as it stands in a file; every member lies where the schema says.

    Bit-fields are properties over bytes, as those of ctypes lie elsewhere. What ctypes lacks in a byte order, and text in
    UTF-16, are bytes.
    """
    return _Builder().struct(schema, False)


class _Builder:
    def struct(self, schema, big):
        big = schema.get("endian", "big" if big else "little") == "big"
        fields = []
        union = schema["kind"] == "union"
        end = 0
        anonymous = []
        for name, member in schema["fields"].items():
            if "bits" in member:
                continue
            if not union and member["offset"] > end:
                fields.append(("_padding_%d" % end, ctypes.c_uint8 * (member["offset"] - end)))
            member_big = member.get("endian", "big" if big else "little") == "big"
            fields.append((name, self.type(member["type"], member["size"], member_big)))
            if member.get("anonymous"):
                anonymous.append(name)
            end = member["offset"] + member["size"]
        open_end = fields and schema["fields"] and _is_open(list(schema["fields"].values())[-1]["type"])
        if schema["size"] > end and not union and not open_end:
            fields.append(("_padding_%d" % end, ctypes.c_uint8 * (schema["size"] - end)))
        if union:
            fields.append(("_padding_0", ctypes.c_uint8 * schema["size"]))
        body = {"_pack_": 1, "_layout_": "ms", "_fields_": fields, "__doc__": "%s, %d bytes" % (schema["name"], schema["size"])}
        if anonymous:
            body["_anonymous_"] = anonymous
        for name, member in schema["fields"].items():
            if "bits" in member:
                body[name] = _bit_field(member, big)
        return type(schema["name"], (ctypes.Union if union else ctypes.Structure,), body)

    def type(self, spelt, size, big):
        if isinstance(spelt, str):
            return self.scalar(spelt, size, big)
        if "struct" in spelt:
            return self.struct(spelt["struct"], big)
        if "array" in spelt:
            length = spelt.get("length")
            inner = self.type(spelt["array"], size // length if length else 0, big)
            return inner * (length or 0)
        if "chars" in spelt:
            wide = spelt.get("encoding") == "utf16le"
            return (ctypes.c_uint8 if wide else ctypes.c_char) * spelt["chars"]
        if "wchars" in spelt:
            return ctypes.c_uint8 * (4 * spelt["wchars"]) if big else ctypes.c_wchar * spelt["wchars"]
        if "atomic" in spelt:
            return self.type(spelt["atomic"], size, big)
        if "converted" in spelt:
            return self.type(spelt["base"], size, big)
        return ctypes.c_uint8 * spelt.get("size", size)

    def scalar(self, name, size, big):
        kind = _SCALARS.get(name)
        if kind is None:
            raise FileFormatError("the type %s is not known" % name)
        if not big or size <= 1:
            return kind
        if name == "c_void_p":
            kind = ctypes.c_uint64
        swapped = getattr(kind, "__ctype_be__", None)
        return swapped or ctypes.c_uint8 * size


def _is_open(spelt):
    return isinstance(spelt, dict) and "array" in spelt and spelt.get("length") is None


def _bit_field(member, big):
    first, width = member["bits"]["offset"], member["bits"]["width"]
    start, end = first // 8, -(-(first + width) // 8)
    spelt = member["type"]
    while isinstance(spelt, dict):
        spelt = spelt.get("base") or spelt.get("atomic") or "c_uint64"
    signed, boolean = spelt.startswith("c_int"), spelt == "c_bool"
    order = "big" if big else "little"
    mask = (1 << width) - 1
    shift = (end - start) * 8 - (first - start * 8) - width if big else first - start * 8

    def storage(self):
        return (ctypes.c_uint8 * (end - start)).from_address(ctypes.addressof(self) + start)

    def get(self):
        value = int.from_bytes(bytes(storage(self)), order) >> shift & mask
        if boolean:
            return bool(value)
        return value - (1 << width) if signed and value >> (width - 1) else value

    def put(self, value):
        low = -(1 << (width - 1)) if signed else 0
        if not low <= int(value) <= low + mask:
            raise ValueError("%d does not fit into %d bits" % (value, width))
        place = storage(self)
        old = int.from_bytes(bytes(place), order) & ~(mask << shift)
        place[:] = (old | (int(value) & mask) << shift).to_bytes(end - start, order)

    return property(get, put)


def _atomic_ranges(schema, base=0):
    for member in schema["fields"].values():
        yield from _atomics_of_type(member["type"], base + member["offset"], member["size"])


def _atomics_of_type(spelt, base, size):
    if not isinstance(spelt, dict):
        return
    if "atomic" in spelt:
        yield base, base + size
    elif "struct" in spelt:
        yield from _atomic_ranges(spelt["struct"], base)
    elif "array" in spelt and spelt.get("length"):
        stride = size // spelt["length"]
        for i in range(spelt["length"]):
            found = list(_atomics_of_type(spelt["array"], base + i * stride, stride))
            if not found:
                return
            if found == [(base, base + stride)]:
                # The element is nothing but an atomic, so the array is.
                yield base, base + size
                return
            yield from found


def _plain_ranges(schema, size):
    """What belongs to transactions: all but the atomics."""
    at, ranges = 0, []
    for start, end in sorted(_atomic_ranges(schema)):
        if start > at:
            ranges.append((at, start))
        at = max(at, end)
    if at < size:
        ranges.append((at, size))
    return ranges


def _check_class(cls, schema, path):
    fields = schema["fields"]
    for name, *_ in cls._fields_:
        if name.startswith(("_padding_", "shms_padding_", "shms_bits_")):
            continue
        member, descriptor = fields.get(name), getattr(cls, name)
        if member is None:
            raise LayoutMismatchError("%s.%s is not in %r" % (cls.__name__, name, path))
        if descriptor.offset != member["offset"] or (descriptor.size != member["size"] and "bits" not in member):
            raise LayoutMismatchError("%s.%s is at %d with %d bytes here, at %d with %d in %r" % (
                cls.__name__, name, descriptor.offset, descriptor.size, member["offset"], member["size"], path))
    if ctypes.sizeof(cls) > schema["size"]:
        raise LayoutMismatchError("%s has %d bytes, the struct in %r %d" % (
            cls.__name__, ctypes.sizeof(cls), path, schema["size"]))


# ---- values, checked before they are stored

_FILLERS = ("_padding_", "shms_padding_", "shms_bits_")


def _show(value):
    """Short text for any value, for messages."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a huge integer"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, (str, bytes)):
        return repr(value) if len(value) <= 60 else "%r… (%d long)" % (value[:60], len(value))
    kind = type(value).__name__
    return "a %s of %d" % (kind, len(value)) if isinstance(value, (list, tuple)) else "a value of type %s" % kind


def _bytes_of(value):
    """The bytes of what has some. A number has none: bytes(5) would be five zeros."""
    try:
        return memoryview(value).tobytes()
    except TypeError:
        raise TypeError("expected bytes, got %s" % _show(value)) from None


def _member_of(made, name):
    """The struct that has the member, one of its anonymous ones perhaps, and how it was declared; None without one."""
    for cls in type(made).__mro__:
        for field in cls.__dict__.get("_fields_", ()):
            if field[0] == name:
                return made, field
    for cls in type(made).__mro__:
        for anonymous in cls.__dict__.get("_anonymous_", ()):
            found = _member_of(getattr(made, anonymous), name)
            if found is not None:
                return found
    return None


def _spelt_member(schema, name):
    """The type of a member as the schema spells it, also of one in an anonymous member; None where it does not."""
    fields = (schema or {}).get("fields", {})
    if name in fields:
        return fields[name]["type"]
    inner = (member["type"].get("struct") for member in fields.values() if member.get("anonymous"))
    return next((found for found in (_spelt_member(one, name) for one in inner) if found is not None), None)


def _inside(spelt, key):
    return spelt.get(key) if isinstance(spelt, dict) else None


def _store_members(made, values, schema, place):
    for name, value in values.items():
        found = _member_of(made, name) if isinstance(name, str) and not name.startswith(_FILLERS) else None
        if found is not None:
            holder, (_, kind, *width) = found
            value = _checked(kind, value, _spelt_member(schema, name), "%s.%s" % (place, name), *width)
            setattr(holder, name, value)
        elif isinstance(name, str) and isinstance(getattr(type(made), name, None), property):
            try:
                setattr(made, name, operator.index(value))
            except (TypeError, ValueError) as error:
                raise type(error)("%s.%s: %s, got %s" % (place, name, error, _show(value))) from None
        else:
            names = ", ".join((schema or {}).get("fields", {})) or "none"
            raise TypeError("%s: has no member %s; it has %s" % (place, _show(name), names))


def _checked(kind, value, spelt, place, width=None):
    """A value that a member of this ctypes class takes as it is: nothing of it wraps or is cut off."""
    if issubclass(kind, ctypes.Array):
        return _checked_array(kind, value, spelt, place)
    if issubclass(kind, (ctypes.Structure, ctypes.Union)):
        if type(value) is kind:
            return value
        if not isinstance(value, dict):
            raise TypeError("%s: expected a dict with members of %s, got %s" % (place, kind.__name__, _show(value)))
        made = kind()
        _store_members(made, value, _inside(spelt, "struct"), place)
        return made
    code = getattr(kind, "_type_", "")
    if code == "P" and value is None:
        return value
    if code in tuple("bBhHiIlLqQP"):
        return _checked_integer(kind, value, spelt, place, width)
    if code == "?":
        return _checked_bool(value, place)
    if code in tuple("fdg"):
        return _checked_float(code, value, place)
    if code in tuple("cu"):
        expected = bytes if code == "c" else str
        if not isinstance(value, expected):
            raise TypeError("%s: expected %s of length 1, got %s" % (place, expected.__name__, _show(value)))
        if len(value) != 1:
            raise ValueError("%s: expected %s of length 1, got %s" % (place, expected.__name__, _show(value)))
    return value


def _checked_integer(kind, value, spelt, place, width):
    bits = 8 * ctypes.sizeof(kind) if width is None else width
    signed = kind._type_ in tuple("bhilq")
    low = -(1 << bits - 1) if signed else 0
    high = low + (1 << bits) - 1
    expected = "a %s%s, an integer from %d to %d" % (
        "c_int" if signed else "c_uint", "%d" % (8 * ctypes.sizeof(kind)), low, high)
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError("%s: expected %s, got %s" % (place, expected, _show(value))) from None
    if not low <= number <= high:
        raise ValueError("%s: expected %s, got %s" % (place, expected, _show(number)))
    labels = _inside(spelt, "labels")
    if labels and spelt["converted"].startswith("enumOf(") and number not in [int(label) for label in labels.values()]:
        names = ", ".join("%s (%s)" % label for label in labels.items())
        raise ValueError("%s: expected one of %s, got %d" % (place, names, number))
    return number


def _checked_bool(value, place):
    if isinstance(value, (bool, int)) and value in (0, 1) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    raise TypeError("%s: expected a c_bool, True or False, got %s" % (place, _show(value)))


def _checked_float(code, value, place):
    expected = "a %s" % {"f": "c_float", "d": "c_double", "g": "c_longdouble"}[code]
    if not isinstance(value, numbers.Real):
        raise TypeError("%s: expected %s, a number, got %s" % (place, expected, _show(value)))
    try:
        number = float(value)
        struct.pack("<f" if code == "f" else "<d", number)
    except OverflowError:
        raise ValueError("%s: expected %s, got %s" % (place, expected, _show(value))) from None
    return number


def _checked_array(kind, value, spelt, place):
    element, length = kind._type_, kind._length_
    text = {"c": bytes, "u": str}.get(getattr(element, "_type_", None))
    if text is not None:
        if isinstance(value, kind):
            return value
        if not isinstance(value, text):
            raise TypeError("%s: expected %s of at most %d, got %s" % (place, text.__name__, length, _show(value)))
        if len(value) > length:
            raise ValueError("%s: expected %s of at most %d, got %s of %d" % (
                place, text.__name__, length, text.__name__, len(value)))
        return value
    if isinstance(value, (str, dict)):
        raise TypeError("%s: expected an array of %d, got %s" % (place, length, _show(value)))
    try:
        values = list(value)
    except TypeError:
        raise TypeError("%s: expected an array of %d, got %s" % (place, length, _show(value))) from None
    if _is_open(spelt):
        raise ValueError("%s: an array without a length is not set by a dict; give the whole message as bytes" % place)
    if len(values) != length:
        raise ValueError("%s: expected an array of %d, got %d" % (place, length, len(values)))
    inner = _inside(spelt, "array")
    made = kind()
    for i, one in enumerate(values):
        made[i] = _checked(element, one, inner, "%s[%d]" % (place, i))
    return made


def numpy_view(array):
    """A numpy array over a ctypes array of numbers, of any dimensions; the same memory. Needs numpy."""
    import numpy

    return numpy.ctypeslib.as_array(array)


# ---- records

class _Record:
    """The record in one file: its struct, its atomics, its protocol."""

    def __init__(self, file, cls):
        footer = file.footer
        self.file, self.map, self.bytes = file, file.map, footer.content_bytes
        if cls is not None:
            _check_class(cls, file.schema, file.path)
        self.cls = cls if cls is not None else structure_from_schema(file.schema)
        self.plain = _plain_ranges(file.schema, self.bytes)
        self.transactional = bool(footer.flags & _TRANSACTIONAL)
        self.pre_image, self.marks = footer.pre_image_offset, footer.marks_offset // 4
        self.block = footer.block_bytes
        self.sequenced = self.transactional and footer.lock == 0
        header = file.schema["fields"].get("header", {})
        self.has_header = (header.get("offset"), header.get("size")) == (0, 16)
        self.saved = None

    def blocks(self):
        for i, start in enumerate(range(0, self.bytes, self.block)):
            yield i, start, min(start + self.block, self.bytes)

    def restore(self, sequence):
        """Back to the state before; neither pre-image nor marks change, so it can be repeated."""
        memory, pre = self.map.memory, self.pre_image
        if not self.transactional:
            if self.saved is not None:
                for start, end in self.plain:
                    memory[start:end] = self.saved[start:end]
        elif not self.block:
            for start, end in self.plain:
                memory[start:end] = memory[pre + start : pre + end]
        else:
            for i, first, last in self.blocks():
                if self.map.words[self.marks + i] != sequence:
                    continue
                for start, end in self.plain:
                    start, end = max(start, first), min(end, last)
                    if start < end:
                        memory[start:end] = memory[pre + start : pre + end]

    def repair(self):
        file, sequence = self.file, self.map.words[self.file.sequence]
        if not sequence & 1:
            return
        if self.transactional:
            self.restore(sequence)
        self.map.set_version(file.commits, self.map.version(file.before))
        self.map.publish(file.sequence, (sequence | 1) + 1)

    def begin(self):
        file, map_, memory = self.file, self.map, self.map.memory
        self.repair()
        if not self.transactional:
            self.saved = memory[: self.bytes]
        elif not self.block:
            memory[self.pre_image : self.pre_image + self.bytes] = memory[: self.bytes]
        map_.set_version(file.before, map_.version(file.commits))
        sequence = map_.words[file.sequence] + 1 & 0xFFFFFFFF
        if self.block and sequence == 1:
            for i, _, _ in self.blocks():
                map_.words[self.marks + i] = 0
        map_.publish(file.sequence, sequence)
        if self.block:
            memory[self.pre_image : self.pre_image + self.bytes] = memory[: self.bytes]
            for i, _, _ in self.blocks():
                map_.publish(self.marks + i, sequence)

    def commit(self):
        file, map_ = self.file, self.map
        if self.has_header:
            self.stamp()
        map_.set_version(file.commits, map_.version(file.commits) + 1)
        map_.publish(file.sequence, map_.words[file.sequence] + 1)
        self.saved = None

    def roll_back(self):
        sequence = self.map.words[self.file.sequence]
        self.restore(sequence)
        self.map.publish(self.file.sequence, sequence + 1)
        self.saved = None

    def abandon(self):
        """Rolls back a transaction that was interrupted anywhere, if it was not committed."""
        sequence = self.map.words[self.file.sequence]
        if sequence & 1 and not self.transactional:
            self.restore(sequence)
        self.repair()
        self.saved = None

    def stamp(self):
        memory, now = self.map.memory, time.time()
        (last,) = struct.unpack("<d", memory[8:16])
        if now <= last < now + 1:
            now = last + 1e-6
        memory[0:2] = struct.pack("<h", 0x1128)
        memory[8:16] = struct.pack("<d", now)

    def copy(self, sequence):
        """The committed bytes at that sequence, and their version."""
        file, map_, memory = self.file, self.map, self.map.memory
        odd = bool(sequence & 1) and self.transactional
        version = map_.version(file.before if sequence & 1 else file.commits)
        if not odd:
            return memory[: self.bytes], version
        pre = self.pre_image
        if not self.block:
            data = bytearray(memory[pre : pre + self.bytes])
        else:
            data = bytearray(self.bytes)
            for i, start, end in self.blocks():
                data[start:end] = memory[start:end]
                _fence()
                if map_.words[self.marks + i] == sequence:
                    _fence()
                    data[start:end] = memory[pre + start : pre + end]
        live = memory[: self.bytes]
        at = 0
        for start, end in [*self.plain, (self.bytes, self.bytes)]:
            data[at:start] = live[at:start]
            at = end
        return bytes(data), version

    def version(self):
        """Of the committed state. One that changes a hundred times meanwhile was right a moment ago."""
        file, words = self.file, self.map.words
        for _ in range(100):
            sequence = words[file.sequence]
            _fence()
            version = self.map.version(file.before if sequence & 1 else file.commits)
            _fence()
            if words[file.sequence] == sequence:
                break
        return version

    def try_copy(self):
        words, word = self.map.words, self.file.sequence
        for _ in range(100):
            sequence = words[word]
            _fence()
            found = self.copy(sequence)
            _fence()
            if words[word] == sequence:
                return found
        return None


class _Role:
    """What Reader and Editor have in common."""

    _writable = False

    def __init__(self, struct_or_name, *, dir="./.mmap", tag="", path=None, lock_dir="./.fasteners", trust=False):
        """
        :param struct_or_name: a ctypes.Structure, whose members are checked against the file's, or the struct's name: then
            the class is made of the schema in the file
        :param dir: the directory of the file, as the option of the same name in TypeScript
        :param path: the data file itself, instead of dir and tag
        :param trust: accept a file that other users own or may write to
        :raises FileMissingError, FileFormatError, LayoutMismatchError: for what is there
        """
        self._cls = None if isinstance(struct_or_name, str) else struct_or_name
        name = struct_or_name if isinstance(struct_or_name, str) else struct_or_name.__name__
        place = _Place("record", name, dir, tag, path, lock_dir, trust)
        self._record, self._scope, self._statement = None, None, None
        self._segment = _Segment(place, "record", self._writable, self._attach)
        self._segment.repair = lambda: self._record.abandon()
        self._reported = self.version

    def _attach(self, file):
        self._record = _Record(file, self._cls)

    @property
    def path(self):
        """The data file."""
        return self._segment.place.data

    @property
    def schema(self):
        """What the file says of its struct."""
        self._segment.check()
        return self._segment.file.schema

    @property
    def struct(self):
        """The ctypes class."""
        return self._record.cls

    @property
    def version(self):
        """How many transactions were committed; the file's generation is in the upper 32 bits. Takes no lock."""
        self._segment.refresh()
        return self._record.version()

    def snapshot(self, timeout=None):
        """
        The last committed state, as a private copy. Takes no lock unless a hundred tries met a commit each, or the file was made
        without transactions.

        :param timeout: seconds to wait for the lock; None: however long it takes
        :raises LockTimeoutError: after `timeout` seconds
        """
        return self._record_of(self._copy(timeout)[0])

    def _record_of(self, data):
        return self._record.cls.from_buffer_copy(data)

    def _copy(self, timeout=None):
        timeout = _limit(timeout)
        self._segment.refresh()
        record = self._record
        found = record.try_copy() if record.sequenced else None
        if found is not None:
            return found
        if self._segment.lock.held:
            return record.copy(record.map.words[record.file.sequence])
        return self._segment.run(_SHARED, timeout, self._copy_locked)

    def _copy_locked(self):
        record = self._record
        return record.copy(record.map.words[record.file.sequence])

    def wait_for_change(self, timeout=None):
        """Blocks until there was a commit that no earlier call has reported. False after `timeout` seconds."""
        version = self._segment.wait(lambda: self.version, self._reported, timeout)
        if version is None:
            return False
        self._reported = version
        return True

    def changes(self, timeout=None):
        """The versions of commits as they come; commits in a burst are one. Ends when none comes for `timeout` seconds."""
        while self.wait_for_change(timeout):
            yield self._reported

    def close(self):
        """Gives the lock back and unmaps. A struct that was handed out must not be used any more."""
        self._segment.close()

    def lock(self, timeout=None):
        """Keeps writers out for the time of a with statement, whose variable is a private copy of the committed state: what is
        stored into it does not go into the file.

        :raises LockTimeoutError: after `timeout` seconds
        """
        return _Scope(self, timeout)

    def _scope_of_with(self):
        return self.lock()

    def __enter__(self):
        scope = self._scope_of_with()
        scope.statement = _statement_of(self)
        try:
            data = scope.enter()
            self._scope = scope
            return data
        except BaseException:
            scope.give_up()
            raise

    @_Exit
    def __exit__(self, *error):
        scope, self._statement = self._scope, None
        if scope is not None:
            scope.use.entered = False
            self._scope = None
            scope.leave(*error)


class Reader(_Role):
    """Reads a record. `with reader as data:` keeps writers out, as `with reader.lock(timeout) as data:` does; `data` is a private copy,
    and what is stored into it does not go into the file. It stays open until close()."""


class _Scope:
    """The lock of a role for the time of a with statement."""

    _mode = _SHARED

    def __init__(self, role, timeout):
        self._role, self._timeout = role, _limit(timeout)
        self.use, self.statement, self._statement = None, None, None

    def enter(self):
        segment, use = self._role._segment, _Use(self.statement)
        try:
            segment.acquire(self._mode, self._timeout, use)
            data = self._begin(self._role)
            self.use = use
            # The last step: from here on the with statement ends it.
            use.entered = True
            return data
        except BaseException:
            segment.give_up(use)
            raise

    def leave(self, kind, *_):
        # The first step: from here on it is known to be interrupted when it is found.
        self.use.entered = False
        segment = self._role._segment
        if segment.closed:
            if kind is None:
                segment.check()
            return
        if segment._use is not self.use:
            return
        try:
            self._end(self._role, kind is None)
            segment.release()
        except BaseException:
            segment.give_up(self.use)
            raise
        if kind is None and self._mode == _EXCLUSIVE:
            segment.announce()

    def give_up(self):
        self._role._segment.give_up(self.use)

    def _begin(self, role):
        return role._record_of(role._copy_locked()[0])

    def _end(self, role, is_committed):
        pass

    def __enter__(self):
        self.statement = _statement_of(self)
        try:
            return self.enter()
        except BaseException:
            self.give_up()
            raise

    @_Exit
    def __exit__(self, *error):
        self._statement = None
        if self.use is not None:
            self.leave(*error)


class Editor(_Role):
    """
    Reads and writes a record: `with editor as data:` is a transaction, as `with editor.edit(timeout) as data:` is. It stays open until
    close().
    """

    _writable = True

    def edit(self, timeout=None):
        """A transaction for the time of a with statement: its stores are seen all at once at its end, or, when an exception
        ends it, not at all. The variable lies on the shared memory: do not use it afterwards.

        :raises LockTimeoutError: when the lock is not to be had within `timeout` seconds
        """
        return _Transaction(self, timeout)

    def _scope_of_with(self):
        return self.edit()

    def touch(self, timeout=None):
        """A commit without a change: stamps the header and wakes those who wait."""
        with self.edit(timeout):
            pass


class _Transaction(_Scope):
    _mode = _EXCLUSIVE

    def _begin(self, role):
        role._record.begin()
        return role._record.cls.from_buffer(role._record.map.memory)

    def _end(self, role, is_committed):
        if is_committed:
            role._record.commit()
        else:
            role._record.roll_back()


# ---- documents

def _round_up(value):
    return -(-value // 64) * 64


def _check_json(value, place):
    """Refuses what json.dumps stores as something else."""
    if isinstance(value, float) and not float("-inf") < value < float("inf"):
        raise ValueError("%s: JSON has no %r" % (place, value))
    if isinstance(value, dict):
        for key, one in value.items():
            if not isinstance(key, str):
                raise TypeError("%s: a key must be a str, got %s" % (place, _show(key)))
            _check_json(one, "%s.%s" % (place, key))
    elif isinstance(value, (list, tuple)):
        for i, one in enumerate(value):
            _check_json(one, "%s[%d]" % (place, i))


class Document:
    """A JSON document: read() without a lock, write() under it, changes() as they come."""

    def __init__(self, path, *, readonly=False, trust=False):
        """
        :param path: the file, as the option `file` of JsonMap in TypeScript
        :raises FileMissingError, FileFormatError: for what is there
        """
        self._format = None
        self._segment = _Segment(_Place("document", "", "", "", path, "", trust), "document", not readonly, self._attach)
        self._reported = self.version

    def _attach(self, file):
        most = (file.schema or {}).get("maxBytes")
        if not isinstance(most, int) or not 1 <= most <= 1 << 30:
            raise FileFormatError("%r is damaged (maxBytes)" % file.path)
        first = _round_up(most + 11)
        second = first + _round_up(16 + most)
        mirrored = second + _round_up(16 + most)
        if mirrored + 64 != file.footer.content_bytes:
            raise FileFormatError("%r is damaged (content)" % file.path)
        self._format = most, (first, second), mirrored

    def _slot(self, sequence):
        return self._format[1][sequence >> 1 & 1]

    def _copy(self, sequence):
        memory, slot = self._segment.file.map.memory, self._slot(sequence)
        head = memory[slot : slot + 16]
        (length,) = struct.unpack("<I", head[4:8])
        if length > self._format[0]:
            return head, b""
        return head, memory[slot + 16 : slot + 16 + length]

    def _read(self, timeout=None):
        segment, timeout = self._segment, _limit(timeout)
        segment.refresh()
        for _ in range(100):
            found, is_steady = self._try_read()
            if is_steady:
                return self._checked(*found)
        if segment.lock.held:
            return self._checked(*self._try_read()[0])
        return self._checked(*segment.run(_SHARED, timeout, self._try_read)[0])

    def _try_read(self):
        file = self._segment.file
        sequence = file.map.words[file.sequence]
        _fence()
        found = self._copy(sequence)
        _fence()
        return found, file.map.words[file.sequence] == sequence

    def _checked(self, head, text):
        crc, length, version = struct.unpack("<IIQ", head)
        if length != len(text) or crc != zlib.crc32(text, zlib.crc32(head[4:])):
            raise FileFormatError("the document in %r is damaged" % self._segment.place.data)
        return (None if length == 0 else text.decode()), version

    @property
    def version(self):
        """The version of the newest document."""
        return self._read()[1]

    def read(self, timeout=None):
        """
        The newest document; None before the first. Takes no lock unless a hundred tries met a commit each.

        :param timeout: seconds to wait for the lock; None: however long it takes
        :raises LockTimeoutError: after `timeout` seconds
        """
        text = self._read(timeout)[0]
        return None if text is None else json.loads(text)

    def write(self, value, timeout=None):
        """Makes `value` the document; its version.

        :raises ValueError: when its JSON is longer than the file's maxBytes, or for nan and inf, which JSON lacks
        :raises TypeError: for what JSON lacks, also for a key that is no str
        :raises LockTimeoutError: when the lock is not to be had within `timeout` seconds
        """
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        _check_json(value, "value")
        segment = self._segment
        version = segment.run(_EXCLUSIVE, timeout, lambda: self._commit(text))
        segment.announce()
        return version

    def _commit(self, text):
        file = self._segment.file
        most, _, mirrored = self._format
        if len(text) > most:
            raise ValueError("a document of %d bytes in %d" % (len(text), most))
        map_, memory = file.map, file.map.memory
        current = map_.words[file.sequence]
        (there,) = struct.unpack("<Q", memory[self._slot(current) + 8 : self._slot(current) + 16])
        known = map_.version(file.commits)
        version = (there if known <= there <= known + 1 else known + 1) + 1
        sequence = (current & ~1) + 2 & 0xFFFFFFFF
        slot = self._slot(sequence)
        memory[slot + 16 : slot + 16 + len(text)] = text
        rest = struct.pack("<IQ", len(text), version)
        memory[slot : slot + 16] = struct.pack("<I", zlib.crc32(text, zlib.crc32(rest))) + rest
        map_.publish(file.sequence, sequence)
        map_.set_version(file.before, known)
        map_.set_version(file.commits, version)
        self._mirror(memory, text)
        map_.publish(mirrored // 4, sequence)
        return version

    @staticmethod
    def _mirror(memory, text):
        # A colon in front keeps jsonmmap's followers from reading meanwhile.
        start = b"%d:" % len(text)
        memory[0:1] = b":"
        memory[1 : len(start) + len(text)] = start[1:] + text
        memory[0:1] = start[0:1]

    def wait_for_change(self, timeout=None):
        """Blocks until there is a document that no earlier call has reported. False after `timeout` seconds."""
        version = self._segment.wait(lambda: self.version, self._reported, timeout)
        if version is None:
            return False
        self._reported = version
        return True

    def changes(self, timeout=None):
        """The documents as they come, without those that were replaced meanwhile. Ends after `timeout` seconds without one."""
        while self.wait_for_change(timeout):
            yield self.read()

    def close(self):
        self._segment.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- slots: what channels and queues have in common

class _Slots:
    """Where slots are. Read once and checked, so that no later change of the file leads outside."""

    def __init__(self, file, most):
        self.file, self.map, self.words = file, file.map, file.map.words
        size = file.footer.content_bytes
        head = self.map.memory[:32]
        self.count, _, self.payload, self.stride, self.first = struct.unpack("<IIQQQ", head) if size >= 512 else (0,) * 5
        count = self.count
        fits = (
            2 <= count <= most and count & count - 1 == 0 and self.payload >= 1 and self.stride % 64 == 0
            and self.stride >= 64 + self.payload and self.first % 64 == 0 and self.first >= 512
            and self.first + count * self.stride <= size
        )
        if not fits:
            raise FileFormatError("%r is damaged (slots)" % file.path)

    def at(self, number):
        """The word at which a slot begins."""
        return (self.first + (number & self.count - 1) * self.stride) // 4

    def all(self):
        return range(self.first // 4, (self.first + self.count * self.stride) // 4, self.stride // 4)

    def read(self, slot, length):
        start = slot * 4 + 64
        return self.map.memory[start : start + min(length, self.payload)]

    def write(self, slot, data):
        start = slot * 4 + 64
        self.map.memory[start : start + len(data)] = data


class _Payload:
    """What slots hold: structs of a class, or bytes."""

    def __init__(self, struct_or_name):
        self.given = None if isinstance(struct_or_name, str) else struct_or_name
        self.name = struct_or_name if isinstance(struct_or_name, str) else struct_or_name.__name__
        if self.given is bytes:
            self.name = "Bytes"
        self.cls, self.schema, self.path, self.is_open = None, {}, "", False

    def attach(self, file, slots):
        schema = (file.schema or {}).get("payload", {})
        if self.given is bytes or "bytes" in schema:
            self.cls = None
            return
        if self.given is not None:
            _check_class(self.given, schema, file.path)
        self.cls = self.given if self.given is not None else structure_from_schema(schema)
        self.schema, self.path = schema, file.path
        self.is_open = bool(schema["fields"]) and _is_open(list(schema["fields"].values())[-1]["type"])
        if ctypes.sizeof(self.cls) > slots.payload:
            raise LayoutMismatchError("the slots of %r are too short for %s" % (file.path, self.name))

    def encode(self, value, room):
        """The bytes of a struct, of a dict of its members, or of bytes. TypeError, ValueError for what does not fit."""
        data = _bytes_of(value) if self.cls is None else self._encode_struct(value)
        if len(data) > room:
            raise ValueError("%d bytes in a slot of %d" % (len(data), room))
        return data

    def _encode_struct(self, value):
        name, size = self.schema.get("name", self.name), self.schema["size"]
        if isinstance(value, dict):
            made = self.cls()
            _store_members(made, value, self.schema, name)
            return bytes(made).ljust(size, b"\0")
        if isinstance(value, (ctypes.Structure, ctypes.Union)):
            if not isinstance(value, self.cls):
                try:
                    _check_class(type(value), self.schema, self.path)
                except LayoutMismatchError as error:
                    raise TypeError("%s: got a struct of another layout: %s" % (name, error)) from error
            return bytes(value).ljust(size, b"\0")
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError("%s: expected a struct, a dict with members of %s or its %d bytes, got %s" % (
                name, name, size, _show(value)))
        data = bytes(value)
        if len(data) < size or len(data) > size and not self.is_open:
            raise ValueError("%s: expected a struct of %s%d bytes, got %d bytes" % (
                name, "at least " if self.is_open else "", size, len(data)))
        return data

    def decode(self, data):
        if self.cls is None:
            return data
        return self.cls.from_buffer_copy(data.ljust(ctypes.sizeof(self.cls), b"\0"))


# ---- channels

_NEXT, _EPOCH, _CLOSED, _PID = 16, 17, 18, 19
_MASK = 0xFFFFFFFF


def _extend(low, near):
    """A number with these lower 32 bits, as near to `near` as possible."""
    distance = low - near & _MASK
    return near + (distance - (1 << 32) if distance >= 1 << 31 else distance)


class Message:
    """A message: `data`, a private copy; `index` from 0; `missed` messages before it; `sent_at` seconds; `type`; `epoch`."""

    def __init__(self, data, index, missed, sent_at, type, epoch):
        self.data, self.index, self.missed, self.sent_at, self.type, self.epoch = data, index, missed, sent_at, type, epoch


class _Channel:
    def __init__(self, struct_or_name, writable, dir, tag, path, trust):
        self._payload = _Payload(struct_or_name)
        self._slots = None
        place = _Place("channel", self._payload.name, dir, tag, path, "./.fasteners", trust)
        self._segment = _Segment(place, "channel", writable, self._attach)

    def _attach(self, file):
        self._slots = _Slots(file, 1 << 26)
        self._payload.attach(file, self._slots)

    @property
    def path(self):
        """The channel's file."""
        return self._segment.place.data

    @property
    def published(self):
        """How many messages were published since the channel was made; of the file that is there now, should it have been replaced."""
        self._follow()
        return self._find_next()

    def _follow(self):
        """Goes over to the file that is there now, if it is another."""
        self._segment.refresh()

    def _find_next(self, near=0):
        slots, words = self._slots, self._slots.words
        for _ in range(1000):
            following = words[_NEXT]
            slot = slots.at(following - 1)
            sequence = words[slot]
            _fence()
            index = slots.map.version(slot + 2)
            _fence()
            if words[slot] != sequence:
                continue
            found = 0 if sequence == 0 and following == 0 else index + 1
            if found & _MASK == following:
                return found
        return _extend(words[_NEXT], near)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Publisher(_Channel):
    """The one publisher of a channel; it holds the channel's lock until close(). Needs libatomic.so.1."""

    def __init__(self, struct_or_name, *, dir="./.mmap", tag="", path=None, wait=1.0, trust=False):
        """
        :param struct_or_name: a ctypes.Structure, the struct's name, or bytes
        :param wait: seconds to wait for a publisher that is still there
        :raises LockTimeoutError: when there is one; FileMissingError: without a channel, which a Publisher in TypeScript or C makes
        """
        _need_atomics("Publisher")
        super().__init__(struct_or_name, True, dir, tag, path, trust)
        self._looked_at = time.monotonic()
        try:
            self._segment.acquire(_EXCLUSIVE, wait)
            self._take_over()
        except BaseException:
            self._segment.close()
            raise

    def _take_over(self):
        """Goes on where the publisher before has stopped, wherever it died."""
        slots, words = self._slots, self._slots.words
        k = self._find_next()
        slot = slots.at(k)
        if words[slot] == 2 * k + 2 & _MASK and slots.map.version(slot + 2) == k:
            k += 1
            slots.map.publish(_NEXT, k)
        self.index, self.epoch = k, words[_EPOCH] + 1 & _MASK
        words[_PID], words[_CLOSED] = os.getpid(), 0
        slots.map.publish(_EPOCH, self.epoch)

    def send(self, message, type=0):
        """Publishes a struct, a dict of its members, or bytes; wakes subscribers that sleep. TypeError, ValueError: nothing is sent."""
        self._segment.check()
        if not 0 <= operator.index(type) <= _MASK:
            raise ValueError("type must be a whole number from 0 to %d, not %s" % (_MASK, _show(type)))
        self._look()
        slots = self._slots
        data = self._payload.encode(message, slots.payload)
        slot, k, map_ = slots.at(self.index), self.index, slots.map
        if slots.words[slot] == 2 * k + 2 & _MASK and map_.version(slot + 2) == k:
            # An exception from a signal handler came after it was published: the next one goes behind it.
            k = self.index = k + 1
            slot = slots.at(k)
        map_.publish(slot, 2 * k + 1)
        map_.set_version(slot + 2, k)
        slots.words[slot + 6] = self.epoch
        slots.write(slot, data)
        slots.words[slot + 1] = len(data)
        map_.set_version(slot + 4, time.time_ns())
        slots.words[slot + 7] = type
        map_.publish(slot, 2 * k + 2)
        map_.publish(_NEXT, k + 1)
        self.index = k + 1
        self._segment.announce()

    def _look(self):
        """Once a second: should the file have been deleted or replaced, goes on in the one that is there now."""
        is_held = self._segment.lock.held == _EXCLUSIVE
        if is_held and time.monotonic() - self._looked_at < 1:
            return
        self._looked_at = time.monotonic()
        if is_held and self._segment._is_current():
            return
        # Not held: the file was missing at the last look.
        if is_held:
            self._segment.release()
        self._segment.acquire(_EXCLUSIVE, 1.0)
        self._take_over()

    def close(self):
        """Ends the publisher; the next one goes on with the next index."""
        if not self._segment.closed:
            self._slots.map.publish(_CLOSED, 1)
            self._segment.announce()
        self._segment.close()


class Subscriber(_Channel):
    """Receives the messages of a channel and leaves no trace in it."""

    def __init__(self, struct_or_name, *, dir="./.mmap", tag="", path=None, start="newest", trust=False):
        """
        :param start: "newest", "oldest" or "next": the message to begin with
        """
        if start not in ("newest", "oldest", "next"):
            raise ValueError("start must be newest, oldest or next, not %r" % start)
        super().__init__(struct_or_name, False, dir, tag, path, trust)
        following = self._find_next()
        self.index, self._missed = following, 0
        if start == "newest":
            self.index = max(0, following - 1)
        elif start == "oldest":
            self.index = self._oldest(following)

    def _oldest(self, following):
        """The oldest message that is there, when `following` is the one that comes next."""
        oldest = max(0, following - self._slots.count)
        whole = self._slots.words[self._slots.at(oldest)] == 2 * oldest + 2 & _MASK
        return oldest if whole or oldest == following else oldest + 1

    def _is_set_back(self, following):
        """An older copy was written over the ring (cp): as with another file, the messages that are there come next. Not so if the
        message before the cursor is still there: its publisher has not counted it yet."""
        words, received = self._slots.words, self.index - 1
        if following > received:
            return False
        _fence()
        slot = self._slots.at(received)
        if words[slot] == 2 * received + 2 & _MASK and self._slots.map.version(slot + 2) == received:
            return False
        _fence()
        if words[_NEXT] != following & _MASK:
            return False
        self.index = self._oldest(max(0, following))
        return True

    def receive(self, timeout=0):
        """The next Message; None when none comes for `timeout` seconds (None: no limit)."""
        timeout = _limit(timeout)
        self._segment.check()
        message = self._receive()
        if message is not None or timeout == 0:
            return message
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            page = self._segment.lock.page
            seen = page.words[_CHANGES] if page else 0
            self._refresh()
            message = self._receive()
            rest = 1.0 if end is None else end - time.monotonic()
            if message is not None or rest <= 0:
                return message
            if page is not None:
                page.sleep_until_change(seen, rest)
            else:
                time.sleep(min(rest, 0.001))

    def _follow(self):
        file = self._segment.file
        self._segment.refresh()
        if self._segment.file is not file:
            self.index = 0

    def _refresh(self):
        try:
            self._follow()
        except FileMissingError:
            pass

    def _receive(self):
        # A damaged ring could send the cursor to and fro for ever: the next look goes on.
        for _ in range(self._slots.count + 100):
            slots, words, k = self._slots, self._slots.words, self.index
            slot, want = slots.at(k), 2 * k + 2 & _MASK
            sequence = words[slot]
            _fence()
            index = slots.map.version(slot + 2)
            if sequence == want and index == k:
                length, type, epoch = words[slot + 1], words[slot + 7], words[slot + 6]
                sent_at = slots.map.version(slot + 4)
                data = slots.read(slot, length)
                _fence()
                if words[slot] != sequence:
                    continue
                self.index, missed, self._missed = k + 1, self._missed, 0
                return Message(self._payload.decode(data), k, missed, sent_at / 1e9, type, epoch)
            if sequence & 1:
                ahead = sequence - want & _MASK
                if not 0 < ahead < 1 << 31 or not self._jump(k):
                    if not self._left_out(slot, sequence):
                        return None
                continue
            _fence()
            if words[slot] != sequence:
                continue
            if index <= k or sequence == 0 or not self._jump(index):
                if not self._left_out(slot, sequence):
                    return None

    def _left_out(self, slot, sequence):
        """Whether the message was counted and never written: its publisher, a mirror, has not got it. Or the slot has changed."""
        words, k = self._slots.words, self.index
        ahead = _extend(words[_NEXT], self.index) - self.index
        if ahead <= 0:
            return self._is_set_back(self.index + ahead)
        _fence()
        is_written = sequence == (2 * k + 2 & _MASK) and self._slots.map.version(slot + 2) == k
        if words[slot] == sequence and not is_written:
            missed = max(1, ahead - self._slots.count)
            self._missed += missed
            self.index += missed
        return True

    def _jump(self, near):
        """It fell behind: to the middle of what is there."""
        to = _extend(self._slots.words[_NEXT], near) - self._slots.count // 2
        if to <= self.index:
            return False
        self._missed += to - self.index
        self.index = to
        return True

    def __iter__(self):
        """The messages as they come, without end."""
        while True:
            message = self.receive(timeout=None)
            if message is not None:
                yield message

    def close(self):
        """Unmaps the channel."""
        self._segment.close()


# ---- queues

def _make_like(file, slots, path, trust):
    """Makes an empty queue of the same shape as the one in `file`, if there is no file of that name."""
    if os.path.lexists(path):
        return
    mode = os.fstat(file.fd).st_mode & 0o777
    # A mode that lets others write is a decision to trust them.
    lock = _Lock(path + ".lock", 0, create=True, trust=trust or bool(mode & 0o022))
    try:
        lock.acquire(_EXCLUSIVE)
        if not os.path.lexists(path):
            os.chmod(lock.path, mode)
            os.chmod(lock.path + "-page", mode)
            generation = lock.page.words[_GENERATIONS] if lock.page is not None else 0
            generation = generation if generation < 1 << 21 else 0
            _write_queue(file, slots, path, mode, generation)
            if lock.page is not None:
                lock.page.words[_GENERATIONS] = generation + 1
        lock.release()
    finally:
        lock.close()


def _write_queue(file, slots, path, mode, generation):
    footer, stride = file.footer, 64 + _round_up(slots.payload)
    start = footer.schema_offset
    schema = file.map.memory[start : start + footer.schema_bytes]
    content_bytes = 4096 + slots.count * stride
    size = _round_up(content_bytes + len(schema) + _FOOTER_BYTES)
    fields = struct.pack("<BBHIQQQIIQQQ16x", 4, 0, 0, footer.abi, content_bytes, 0, 0, 0, len(schema), content_bytes,
                         footer.fingerprint, time.time_ns())
    checksum = zlib.crc32(schema, zlib.crc32(fields))
    end = struct.pack("<QII", _MAGIC, 2, checksum) + fields + struct.pack("<IIQII8x", 0, generation, generation << 32, 0, 0)
    head = struct.pack("<IIQQQII", slots.count, 0, slots.payload, stride, 4096, 0, 0) + struct.pack("<II", *_boot_id())
    temporary = "%s.new-%s" % (path, os.urandom(8).hex())
    fd = _open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, _BEING_MADE | 0o600)
    try:
        # Held until the file has its name; who sweeps up leftovers tells them by this marker or by a footer.
        _flock(fd, _EXCLUSIVE)
        os.pwrite(fd, struct.pack("<Q", _MAGIC), 0)
        os.fchmod(fd, mode)
        os.posix_fallocate(fd, 0, size)
        os.pwrite(fd, schema, content_bytes)
        os.pwrite(fd, end, size - _FOOTER_BYTES)
        os.pwrite(fd, head, 0)
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
        os.close(fd)


_TAIL, _READY, _HEAD, _FREE = 16, 32, 48, 64
_IS_FREE, _IS_WRITING, _IS_READY, _IS_TAKEN = 0, 1, 2, 3
_FROZEN = 1023


def _word(state, owner, attempt, generation):
    return state << 30 | owner << 20 | attempt << 12 | generation & 0xFFF


def _owner_of(word):
    return word >> 20 & 1023


def _attempt_of(word):
    return word >> 12 & 255


def _boot_ns():
    """Since the machine was started, suspended or not."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _boot_id():
    """The first 8 bytes of the id that the kernel gave this start of the machine, as words; zeros where it tells none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return struct.unpack("<II", bytes.fromhex(file.read().strip().replace("-", ""))[:8])
    except (OSError, ValueError, struct.error):
        return 0, 0


def _buried(word):
    """What a dead owner's word becomes: a half-written job was never pushed, a taken one is tried once more."""
    if word >> 30 == _IS_WRITING:
        return _word(_IS_FREE, 0, 0, word + 1)
    return _word(_IS_READY, 0, min(_attempt_of(word) + 1, 255), word)


class Job:
    """A job in hand. `data` is a private copy, `attempt` counts from 1; it is this worker's until done(), release() or fail().
    `user` are 32 bytes for people: the reason of the failure before, or what note() wrote."""

    def __init__(self, queue, number, lease, ticket, data, user):
        self._queue, self._number, self._lease, self._ticket = queue, number, lease, ticket
        self.data, self.attempt, self._ended, self.user = data, _attempt_of(lease) + 1, False, user

    def done(self):
        """Ends the job. :raises LeaseLostError: when another worker has it."""
        self._end(_word(_IS_FREE, 0, 0, self._lease + 1), None, _FREE)

    def release(self):
        """Gives it back as it was."""
        self._end(_word(_IS_READY, 0, _attempt_of(self._lease), self._lease), None, _READY)

    def extend(self):
        """Begins the lease again. :raises LeaseLostError: when another worker has the job."""
        self._store(6, lambda queue, slot: queue._slots.map.set_version(slot, _boot_ns()))

    def note(self, content):
        """Writes the job's 32 bytes for people, text or bytes; more is truncated. :raises LeaseLostError:"""
        text = (content.encode() if isinstance(content, str) else bytes(content))[:32].ljust(32, b"\0")

        def write(queue, slot):
            queue._slots.map.memory[slot * 4 : slot * 4 + 32] = text

        self._store(8, write)

    def _store(self, word, write):
        queue = self._queue
        queue._segment.check()
        slot = None if self._ended else queue._find(self)
        if slot is not None:
            write(queue, slot + word)
            _fence()
            if queue._slots.words[slot] == self._lease:
                return
        raise LeaseLostError("the job was given to another worker, or was ended")

    def fail(self, delay=0.0, reason=None):
        """Gives it back for another attempt, after `delay` seconds; the last one makes it a dead letter at once. `reason` is noted."""
        if reason is not None:
            self.note(reason)
        if self._queue._is_last(self) and self._queue._push_dead(self):
            self.done()
            return
        due = 0 if delay <= 0 else time.time_ns() + int(delay * 1e9)
        self._end(_buried(self._lease), due, _READY)

    def _end(self, following, due, wakes):
        if self._ended:
            raise LeaseLostError("the job was ended already")
        self._ended = True
        try:
            self._queue._end(self, following, due, wakes)
        except LeaseLostError:
            raise
        except BaseException:
            # Interrupted by a signal handler's exception: it is ended, or it still is this worker's and can be ended again.
            self._ended = self._queue._segment.closed or self._queue._find(self) is None
            raise

    def _postpone(self, delay):
        self._end(_word(_IS_READY, 0, _attempt_of(self._lease), self._lease), time.time_ns() + int(delay * 1e9), _READY)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self._ended and not self._queue._segment.closed:
            self.release()


class Queue:
    """Jobs for workers in any process. Needs libatomic.so.1. A worker that dies gives its job back, and one whose attempts are used
    up goes to the `dead_letters`. The queue is made by a Queue in TypeScript or by C."""

    def __init__(self, struct_or_name, *, dir="./.mmap", tag="", path=None, trust=False):
        """
        :param struct_or_name: a ctypes.Structure, the struct's name, or bytes
        """
        self._atomics = _need_atomics("Queue")
        self._payload = _Payload(struct_or_name)
        self._slots, self._owner, self._vain = None, 0, {_READY: 0, _FREE: 0}
        self._held, self._dead, self._struct = set(), None, struct_or_name
        place = _Place("queue", self._payload.name, dir, tag, path, "./.fasteners", trust)
        self._segment = _Segment(place, "queue", True, self._attach)
        try:
            self._owners = self._open_owners(place.data + ".owners")
        except BaseException:
            self._segment.close()
            raise
        _open_segments.add(self)

    def _attach(self, file):
        self._slots = _Slots(file, 1 << 20)
        self._payload.attach(file, self._slots)
        if self._owner:
            # What is in this owner's name in a new file and not in hand is a dead owner's, who had the same number.
            self._bury(self._owner)

    def _open_owners(self, path):
        mode = os.fstat(self._segment.file.fd).st_mode & 0o777
        try:
            fd = _open(path, os.O_RDWR)
        except FileNotFoundError:
            try:
                fd = _open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _BEING_MADE | mode)
            except FileExistsError:
                fd = _open(path, os.O_RDWR)
        try:
            if not _are_pids(fd):
                raise FileFormatError("%r is no owners' file of a queue: another program's stays as it is" % path)
            if os.fstat(fd).st_size == 0:
                # It has its length before it loses its mark.
                os.posix_fallocate(fd, 0, _PIDS_BYTES)
                try:
                    os.fchmod(fd, mode)
                except PermissionError:
                    pass  # another user is just making it, and does this, too
            return fd
        except BaseException:
            os.close(fd)
            raise

    def _forked(self):
        if self._owners >= 0:
            os.close(self._owners)
            self._owners = -1

    def _swap(self, word, expected, value):
        return self._atomics.swap(self._slots.map.address + 4 * word, expected, value & _MASK)

    # ---- owners

    def _lock_owner(self, owner, mode):
        return _record_lock(self._owners, mode, owner, 1)

    def _named(self):
        return {_owner_of(self._slots.words[slot]) for slot in self._slots.all()} - {0, _FROZEN, self._owner}

    def _claim(self):
        if self._owner:
            return
        named = self._named()
        free = [owner for owner in range(1, 1023) if owner not in named]
        for owner in [*free, *sorted(named)]:
            if self._lock_owner(owner, _EXCLUSIVE):
                os.pwrite(self._owners, struct.pack("<I", os.getpid()), 4 * owner)
                self._owner = owner
                self._bury(owner)
                # Leases are measured from this start of the machine on: those who had jobs before it are dead.
                boot = _boot_id()
                for i in (0, 1) if any(boot) else ():
                    self._slots.words[10 + i] = boot[i]
                return
        raise ShmError("all 1022 owners of %r are alive" % self._segment.place.data)

    def _bury(self, owner):
        words, changed = self._slots.words, 0
        for slot in self._slots.all():
            word = words[slot]
            if _owner_of(word) != owner or (word, self._slots.map.version(slot + 2)) in self._held:
                continue
            if word >> 30 == _IS_TAKEN:
                self._slots.map.set_version(slot + 6, 0)
            changed += bool(self._swap(slot, word, _buried(word)))
        return changed

    def _recover(self):
        """Gives back what dead owners have left, and jobs whose lease is over."""
        changed = 0
        for owner in self._named():
            if self._lock_owner(owner, _EXCLUSIVE):
                changed += self._bury(owner)
                self._lock_owner(owner, 0)
        words, lease = self._slots.words, self._slots.words[9]
        now = _boot_ns()
        for slot in self._slots.all() if lease else ():
            word, taken = words[slot], self._slots.map.version(slot + 6)
            if word >> 30 != _IS_TAKEN:
                continue
            if taken == 0:  # just taken, or a process died before it stored the time: the lease begins now
                self._slots.map.set_version(slot + 6, now)
            elif taken <= now - lease * 1000000:
                # First, as the next taker's lease would seem to be over until it has stored it.
                self._slots.map.set_version(slot + 6, 0)
                changed += bool(self._swap(slot, word, _buried(word)))
        return changed

    # ---- replacement

    def _is_frozen(self):
        file = self._segment.file
        return file.map.words[file.superseded] != 0 or _owner_of(self._slots.words[self._slots.at(0)]) == _FROZEN

    def _move_over(self):
        """Goes over to the new file, or thaws this one when its replacer has died."""
        file = self._segment.file
        try:
            self._segment.run(_EXCLUSIVE, 0.1, lambda: self._thaw(file))
        except LockTimeoutError:
            pass

    def _thaw(self, file):
        for slot in self._slots.all() if self._segment.file is file else ():
            word = self._slots.words[slot]
            if _owner_of(word) == _FROZEN:
                ready = _word(_IS_READY, 0, _attempt_of(word), word)
                self._swap(slot, word, _word(_IS_FREE, 0, 0, word + 1) if word >> 30 == _IS_WRITING else ready)

    # ---- push and take

    def push(self, job, *, delay=0.0, timeout=None):
        """Pushes a struct, a dict of its members, or bytes; waits while the queue is full. False after `timeout` seconds.

        TypeError, ValueError for what does not fit: then nothing is pushed."""
        self._segment.check()
        timeout = _limit(timeout)
        data = self._payload.encode(job, self._slots.payload)
        due = 0 if delay <= 0 else time.time_ns() + int(delay * 1e9)
        return self._wait(_FREE, lambda: self._try_push(data, due), timeout) is not None

    def take(self, timeout=None):
        """Takes a Job; None when none comes for `timeout` seconds. `with` gives it back unless it was ended."""
        self._segment.check()
        taken = []
        try:
            return self._wait(_READY, lambda: self._try_take(taken), _limit(timeout))
        except BaseException:
            # An exception from a signal handler: the caller never sees the job.
            self._give_back(taken)
            raise

    def _give_back(self, jobs):
        for job in jobs:
            try:
                if not job._ended:
                    job.release()
            except LeaseLostError:
                pass

    def _try_push(self, data, due, user=bytes(32)):
        if len(data) > self._slots.payload:
            raise ValueError("%d bytes in a slot of %d" % (len(data), self._slots.payload))
        while True:
            slots, words, tail = self._slots, self._slots.words, self._slots.words[_TAIL]
            for j in range(slots.count):
                slot = slots.at(tail + j)
                word = words[slot]
                if word >> 30 == _IS_FREE:
                    break
            else:
                return None
            writing = _word(_IS_WRITING, self._owner, 0, word)
            try:
                if not self._swap(slot, word, writing):
                    continue
                slots.map.set_version(slot + 2, tail + j & _MASK | self._segment.file.generation << 32)
                self._swap(_TAIL, tail, tail + j + 1)
                slots.write(slot, data.ljust(slots.payload, b"\0"))
                slots.map.memory[slot * 4 + 32 : slot * 4 + 64] = user
                words[slot + 1] = len(data)
                slots.map.set_version(slot + 4, due)
                slots.map.set_version(slot + 6, 0)
                slots.map.publish(slot, _word(_IS_READY, 0, 0, word))
            except BaseException:
                self._swap(slot, writing, _buried(writing))
                raise
            self._wake(_READY)
            self._segment.announce()
            return True

    def _try_take(self, taken):
        """The next job that has attempts left; the others become dead letters."""
        while True:
            job = self._take_any(taken)
            if job is None or job.attempt <= self._max_attempts:
                return job
            self._move_to_dead(job)

    @property
    def _max_attempts(self):
        most = self._slots.words[8]
        return most if 1 <= most <= 254 else 254

    def _is_last(self, job):
        """Whether it is the job's last attempt, and it still is this worker's."""
        return job.attempt >= self._max_attempts and not job._ended and self._find(job) is not None

    def _take_any(self, taken):
        slots, words, head = self._slots, self._slots.words, self._slots.words[_HEAD]
        for j in range(slots.count):
            slot = slots.at(head + j)
            word = words[slot]
            if word >> 30 != _IS_READY or _owner_of(word):
                continue
            if slots.map.version(slot + 4) > time.time_ns():
                continue
            lease = word | _IS_TAKEN << 30 | self._owner << 20
            try:
                if not self._swap(slot, word, lease):
                    continue
                self._swap(_HEAD, head, head + j + 1)
                slots.map.set_version(slot + 6, _boot_ns())
                job = Job(self, head + j, lease, slots.map.version(slot + 2), None, slots.map.memory[slot * 4 + 32 : slot * 4 + 64])
                self._held.add((lease, job._ticket))
                job._bytes = slots.read(slot, words[slot + 1])
                job.data = self._payload.decode(job._bytes)
                taken.append(job)
                return job
            except BaseException:
                if self._swap(slot, lease, word):
                    self._held.discard((lease, slots.map.version(slot + 2)))
                raise
        return None

    @property
    def dead_letters(self):
        """The jobs whose attempts are used up: a queue beside this one, with the tag `<tag>.dead`, made at the first use."""
        if self._dead is None:
            place = self._segment.place
            stem = place.data[: -len(".queue")] if place.data.endswith(".queue") else place.data
            path = stem + ".dead" + place.data[len(stem):]
            _make_like(self._segment.file, self._slots, path, place.trust)
            self._dead = Queue(self._struct, path=path, trust=place.trust)
        return self._dead

    def _push_dead(self, job):
        """Pushes a copy of a job to the dead letters, with its note as it is now; False when they are full."""
        slot = self._find(job)
        dead = self.dead_letters
        user = job.user if slot is None else self._slots.map.memory[slot * 4 + 32 : slot * 4 + 64]
        dead._segment.check()
        dead._claim()
        return dead._try(lambda: dead._try_push(job._bytes, 0, user)) is not None

    def _move_to_dead(self, job):
        """Killed in between, the job is in both."""
        try:
            is_moved = self._push_dead(job)
        except BaseException:
            job._postpone(1.0)
            raise
        if is_moved:
            job.done()
            return
        warnings.warn("the dead letters of %r are full: a job stays where it is" % self._segment.place.data, RuntimeWarning)
        job._postpone(1.0)

    def _try(self, attempt):
        self._look()
        found = attempt()
        if found is not None:
            return found
        if self._is_frozen():
            self._move_over()
        elif self._recover() == 0:
            return None
        return attempt()

    def _look(self):
        """A queue that was recreated takes no more jobs in its old file, one that was deleted none at all."""
        file = self._segment.file
        if file.map.words[file.superseded]:
            self._move_over()
        elif time.monotonic() - self._segment._looked_at >= 0.1:
            self._segment.refresh()

    def _wait(self, at, attempt, timeout):
        self._claim()
        end = None if timeout is None else time.monotonic() + timeout
        found = self._try(attempt)
        while found is None:
            rest = 1.0 if end is None else end - time.monotonic()
            if rest <= 0:
                return None
            file, map_ = self._segment.file, self._slots.map
            self._atomics.add(map_.address + 4 * (at + 1), 1)
            try:
                seen = map_.words[at]
                found = self._try(attempt)
                if self._segment.file is file and found is None:
                    _futex_wait(map_.address + 4 * at, seen, min(rest, 0.05))
            finally:
                if self._segment.file is file:
                    self._leave(at)
            if found is None:
                found = self._try(attempt)
        return found

    def _leave(self, at):
        while True:
            count = self._slots.words[at + 1]
            if count == 0 or count >= 1 << 31 or self._swap(at + 1, count, count - 1):
                return

    def _wake(self, at):
        count = self._slots.words[at + 1]
        if count == 0:
            return
        address = self._slots.map.address + 4 * at
        self._atomics.add(address, 1)
        _futex_wake(address, 1)

    def _find(self, job):
        """The job's slot; None: another worker has it. In a queue that was replaced it is found by its ticket."""
        for _ in range(300):
            words, version = self._slots.words, self._slots.map.version
            for slot in (self._slots.at(job._number), *self._slots.all()):
                if words[slot] == job._lease and version(slot + 2) == job._ticket:
                    return slot
            if not self._is_frozen():
                return None
            self._move_over()
        return None

    def _end(self, job, following, due, wakes):
        self._segment.check()
        for _ in range(300):
            slot = self._find(job)
            if slot is None:
                break
            if following >> 30 == _IS_READY:
                if due is not None:
                    self._slots.map.set_version(slot + 4, due)
                self._slots.map.set_version(slot + 6, 0)
            if self._swap(slot, job._lease, following):
                self._held.discard((job._lease, job._ticket))
                self._wake(wakes)
                self._segment.announce()
                return
        self._held.discard((job._lease, job._ticket))
        raise LeaseLostError("the job was given to another worker")

    def close(self):
        """Leaves the queue. Jobs in hand go back as soon as another process looks."""
        if self._dead is not None:
            self._dead.close()
        _open_segments.discard(self)
        self._forked()
        self._segment.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
