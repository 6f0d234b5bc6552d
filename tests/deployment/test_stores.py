"""Every kind of store keeps the promises of `windtunnel.deployment.store.Store`."""

from __future__ import annotations

import threading
import uuid

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from windtunnel.deployment.directory_store import DirectoryStore
from windtunnel.deployment.manifest import read_verified
from windtunnel.deployment.object_store import ObjectStore
from windtunnel.deployment.registry import Registry
from windtunnel.deployment.store import open_store
from windtunnel.errors import BundleError, RegistryError

KINDS = ["directory", "file-url", "memory", "s3"]


@pytest.fixture(scope="module")
def s3_url():
    """A bucket on a server that speaks S3 over HTTP."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "for-tests")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "for-tests")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        import s3fs

        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"
    server.stop()


@pytest.fixture(params=KINDS)
def location(request, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name = uuid.uuid4().hex
    if request.param == "s3":
        return f"{request.getfixturevalue('s3_url')}/{name}"
    return {
        "directory": tmp_path / name,
        "file-url": f"file://{tmp_path / name}",
        "memory": f"memory://{name}",
    }[request.param]


def test_reads_what_was_written_and_lists_it(location):
    store = open_store(location)
    assert store.read("example/log/1") is None
    assert store.children("") == ()
    assert store.create("example/log/1", b"one")
    assert not store.create("example/log/1", b"two")
    assert store.read("example/log/1") == b"one"
    store.put("example/bundles/b/file", b"x" * 100_000)
    store.put("example/bundles/b/file", b"")
    assert store.read("example/bundles/b/file") == b""
    assert store.create("other/log/1", b"")
    assert store.children("") == ("example", "other")
    assert store.children("example") == ("bundles", "log")
    assert store.children("example/log") == ("1",)
    assert store.children("nothing") == ()


def test_one_of_many_creators_wins(location):
    results = [[] for _ in range(8)]
    start = threading.Barrier(len(results))
    stores = [open_store(location) for _ in results]

    def race(store, wins, me):
        start.wait()
        for key in range(10):
            wins.append(store.create(f"example/log/{key}", str(me).encode()))

    threads = [
        threading.Thread(target=race, args=(store, wins, me))
        for me, (store, wins) in enumerate(zip(stores, results, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key in range(10):
        winners = [me for me, wins in enumerate(results) if wins[key]]
        assert len(winners) == 1
        assert stores[0].read(f"example/log/{key}") == str(winners[0]).encode()


def test_registry_works_on_it(location, variants, tmp_path, check_whole):
    registry = Registry(location, certify=lambda _: (True, "passed"))
    bundles = variants(tmp_path, 3)
    assert [registry.register(bundle, note="") for bundle in (*bundles, bundles[0])] == [1, 2, 3, 1]
    registry.promote("example", 1, why="")
    other = Registry(location, certify=lambda _: (True, "passed"))  # another machine
    seen = other.state("example")
    assert other.state("example", seen) is seen
    registry.promote("example", 2, why="")
    registry.start_canary("example", 3, weight=0.25, sticky=True)
    after = other.state("example", seen)
    assert after.aliases == {"champion": 2, "canary": 3, "previous": 1}
    assert other.names() == ("example",)
    assert other.load(other.resolve("example", "canary")).manifest.trial == 2
    read_verified(other.local(other.resolve("example", 2)))
    other.rollback("example", why="")
    assert registry.state("example", seen).champion == 1
    check_whole(registry)


def test_many_writers_lose_no_change(location, variants, tmp_path, check_whole):
    Registry(location, certify=lambda _: (True, "")).register(variants(tmp_path, 1)[0], note="")
    bundles = variants(tmp_path, 4, first=10)

    def write(bundle):
        registry = Registry(location, certify=lambda _: (True, ""))
        number = registry.register(bundle, note="")
        for _ in range(2):
            registry.promote("example", number, why="")
            registry.promote("example", 1, why="")

    failures = []

    def guarded(bundle):
        try:
            write(bundle)
        except RegistryError as error:  # another promoted version 1 first: a refusal, no loss
            failures.append(str(error))

    threads = [threading.Thread(target=guarded, args=(bundle,)) for bundle in bundles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("already" in failure for failure in failures)
    state = check_whole(Registry(location, certify=lambda _: (True, "")))
    assert len(state.registered) == 5


@pytest.mark.parametrize("file", ["params.safetensors", "manifest.json", "replay.parquet"])
def test_tampered_object_is_caught_on_load(bundle_path, tmp_path, monkeypatch, file):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = MemoryFileSystem()
    prefix = f"/{uuid.uuid4().hex}"
    registry = Registry(ObjectStore(files, prefix, "memory://"), certify=lambda _: (True, ""))
    registry.register(bundle_path, note="")
    version = registry.resolve("example", 1)
    path = f"{prefix}/example/bundles/{version.digest}/{file}"
    whole = files.cat_file(path)
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        files.pipe_file(path, damaged)
        with pytest.raises(BundleError):
            registry.load(version)
    files.rm_file(path)
    with pytest.raises(BundleError, match=f"{file} is missing"):
        registry.load(version)
    files.pipe_file(path, whole)
    local = registry.local(version)
    (local / file).write_bytes(whole[:-1])
    with pytest.raises(BundleError):  # the cache is no more trusted than the bucket
        registry.local(version)


def test_server_that_ignores_conditions_is_refused(bundle_path):
    class Careless(MemoryFileSystem):
        def pipe_file(self, path, value, mode="overwrite", **kwargs):
            super().pipe_file(path, value)

    store = ObjectStore(Careless(), f"/{uuid.uuid4().hex}", "s3://careless")
    registry = Registry(store, certify=lambda _: (True, ""))
    with pytest.raises(RegistryError, match="ignores conditional writes"):
        registry.register(bundle_path, note="")
    assert registry.names() == ()


def test_request_repeated_after_its_answer_was_lost_meets_its_own_record(variants, tmp_path):
    class Stuttering(DirectoryStore):
        """The first answer to each creation is lost, as on a network, and it is sent again."""

        def create(self, key, content):
            super().create(key, content)
            return super().create(key, content)

    registry = Registry(Stuttering(tmp_path / "registry"), certify=lambda _: (True, ""))
    for bundle in variants(tmp_path, 2):
        registry.register(bundle, note="")
    registry.promote("example", 2, why="")
    log = [entry["action"] for entry in registry.history("example")]
    assert log == ["registered", "registered", "promoted"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/registry", "ftp is not known for conditional writes"),
        ("https://host/registry", "https is not known for conditional writes"),
        ("nonsense://x", "nonsense is not known for conditional writes"),
    ],
)
def test_other_protocols_are_refused(url, message):
    with pytest.raises(RegistryError, match=message):
        open_store(url)


def test_unreachable_bucket_is_told_in_one_sentence(s3_url, tmp_path):
    registry = Registry("s3://no-such-bucket/registry")
    assert registry.names() == ()
    with pytest.raises(RegistryError, match=r"s3://no-such-bucket.* cannot be written"):
        open_store("s3://no-such-bucket/registry").put("a/b", b"")


def test_directory_that_cannot_be_written_is_told_in_one_sentence(bundle_path, tmp_path):
    (tmp_path / "registry").write_text("a file")
    registry = Registry(tmp_path / "registry", certify=lambda _: (True, ""))
    assert registry.names() == ()
    with pytest.raises(RegistryError, match="cannot be written"):
        registry.register(bundle_path, note="")
