"""`roomlog head` and `check --head`: what was cut off the end is found, by whoever kept the line."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from eventlog.extraction import Extraction
from server.config import log_path
from tests.harness.server_process import serving
from tests.server.cli.conftest import Roomlog, append, payloads_and_chains
from tests.server.cli.sample import ENTRIES


@pytest.fixture
def shorter(data: Path, tmp_path: Path) -> Path:
    """The same log without its last two entries, and nothing in it that tells."""
    shutil.copytree(data, tmp_path / "shorter")
    append(data, ENTRIES[3:5])
    return tmp_path / "shorter"


def kept(roomlog: Roomlog, data: Path, *options: str | Path) -> Path:
    """The file in which somebody keeps the head."""
    file = data.parent / "kept.json"
    done = roomlog("head", "--data", data, *options)
    assert done.returncode == 0, done.stderr
    file.write_text(done.stdout)
    return file


def test_the_head_is_one_line_of_json(roomlog: Roomlog, data: Path) -> None:
    done = roomlog("head", "--data", data)
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout) == {
        "identity": Extraction(log_path(data)).identity,
        "position": 7,
        "chain": payloads_and_chains(data)[-1][3].hex(),
    }


def test_an_empty_log_has_a_head(roomlog: Roomlog, tmp_path: Path) -> None:
    append(tmp_path / "empty", [])
    head = json.loads(roomlog("head", "--data", tmp_path / "empty").stdout)
    assert (head["position"], head["chain"]) == (0, "0" * 64)


def test_a_log_that_went_on_holds_it(roomlog: Roomlog, data: Path) -> None:
    file = kept(roomlog, data)
    append(data, ENTRIES[3:5])
    done = roomlog("check", "--data", data, "--head", file)
    assert (done.returncode, done.stdout) == (0, "clean: 9 entries, with the head at 7\n")


def test_a_cut_tail_is_found(roomlog: Roomlog, data: Path, shorter: Path) -> None:
    file = kept(roomlog, data)
    done = roomlog("check", "--data", shorter, "--head", file)
    assert (done.returncode, done.stdout) == (
        1,
        "cut off: the log ends at 7, and it once held 9 entries\n",
    )


def test_without_a_head_a_cut_tail_is_not_found(roomlog: Roomlog, shorter: Path) -> None:
    assert roomlog("check", "--data", shorter).stdout == "clean: 7 entries\n"


def test_another_tail_is_found(roomlog: Roomlog, data: Path, shorter: Path) -> None:
    file = kept(roomlog, data)
    append(shorter, ENTRIES[4:5] * 2)
    done = roomlog("check", "--data", shorter, "--head", file)
    assert done.returncode == 1
    assert done.stdout.startswith("another history: up to 9 ")


def test_another_log_is_found(roomlog: Roomlog, data: Path, tmp_path: Path) -> None:
    file = kept(roomlog, data)
    append(tmp_path / "other", ENTRIES)
    done = roomlog("check", "--data", tmp_path / "other", "--head", file)
    assert done.returncode == 1
    assert done.stdout.startswith("another log: ")


# Signatures


def test_a_signed_head_is_believed(
    roomlog: Roomlog, data: Path, key_file: Path, public_key_file: Path
) -> None:
    file = kept(roomlog, data, "--sign", key_file)
    done = roomlog("check", "--data", data, "--head", file, "--key", public_key_file)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("position", 6),
        ("chain", "00" * 32),
        ("identity", "0" * 32),
        ("signature", "AA=="),
        ("signature", "é"),
    ],
)
def test_a_forged_head_is_not(
    roomlog: Roomlog, data: Path, key_file: Path, public_key_file: Path, field: str, value: object
) -> None:
    file = kept(roomlog, data, "--sign", key_file)
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    done = roomlog("check", "--data", data, "--head", file, "--key", public_key_file)
    assert (done.returncode, done.stdout) == (1, "")
    assert "not signed by the key" in done.stderr


def test_an_unsigned_head_is_not(roomlog: Roomlog, data: Path, public_key_file: Path) -> None:
    done = roomlog("check", "--data", data, "--head", kept(roomlog, data), "--key", public_key_file)
    assert done.returncode == 1
    assert "not signed by the key" in done.stderr


def test_a_signature_of_somebody_else_is_not(
    roomlog: Roomlog, data: Path, key_file: Path, tmp_path: Path
) -> None:
    file = kept(roomlog, data, "--sign", key_file)
    other = tmp_path / "other.pub"
    other.write_bytes(
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    assert roomlog("check", "--data", data, "--head", file, "--key", other).returncode == 1


def test_a_signed_head_is_held_against_a_log_in_use(
    roomlog: Roomlog, key_file: Path, public_key_file: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "live") as server:
        alice = server.client().register("alice")
        room = alice.create_room()
        file = kept(roomlog, tmp_path / "live", "--sign", key_file)
        alice.say(room, "and it goes on")
        done = roomlog("check", "--data", tmp_path / "live", "--head", file, "--key", public_key_file)
    position = json.loads(file.read_text())["position"]
    assert (done.returncode, done.stdout) == (
        0,
        f"clean: {position + 1} entries, with the head at {position}\n",
    )


def test_openssl_alone_can_verify(
    roomlog: Roomlog, data: Path, key_file: Path, public_key_file: Path, tmp_path: Path
) -> None:
    file = kept(roomlog, data, "--sign", key_file)
    script = (
        f'eval $(python3 -c \'import json; h = json.load(open("{file}"));'
        'print(";".join(f"{k}={v}" for k, v in h.items()))\');'
        ' printf "roomlog head %s %s %s\\n" $identity $position $chain > text;'
        ' printf %s "$signature" | base64 -d > signature;'
        f" openssl pkeyutl -verify -pubin -inkey {public_key_file} -rawin -in text -sigfile signature"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully"), done.stderr


def test_no_key_is_told_how_to_make_one(roomlog: Roomlog, data: Path) -> None:
    done = roomlog("head", "--data", data, "--sign", "missing.key")
    assert (done.returncode, done.stdout) == (2, "")
    assert "openssl genpkey -algorithm ed25519 -out missing.key" in done.stderr


@pytest.mark.parametrize("content", [b"no key", b""])
def test_what_is_no_key_is_refused(roomlog: Roomlog, data: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").write_bytes(content)
    assert roomlog("head", "--data", data, "--sign", "bad").returncode == 2
    file = kept(roomlog, data)
    assert roomlog("check", "--data", data, "--head", file, "--key", "bad").returncode == 2


def test_a_key_of_another_kind_is_refused(roomlog: Roomlog, data: Path, tmp_path: Path) -> None:
    key = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "other.key").write_bytes(key)
    done = roomlog("head", "--data", data, "--sign", "other.key")
    assert done.returncode == 2
    assert "not an Ed25519 key" in done.stderr


def test_a_key_without_a_head_is_wrong_use(roomlog: Roomlog, data: Path, public_key_file: Path) -> None:
    assert roomlog("check", "--data", data, "--key", public_key_file).returncode == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"position":7}',
        b"\xff",
        b'{"identity":"\xe4"}',
        b'{"identity":"0","position":-1,"chain":"0"}',
        b'{"a":' * 100_000,
    ],
    ids=["empty", "list", "no identity", "bytes", "no UTF-8", "before the first", "deep"],
)
def test_what_is_no_head_is_refused(roomlog: Roomlog, data: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    done = roomlog("check", "--data", data, "--head", "bad.json")
    assert done.returncode == 2
    assert "is no head" in done.stderr
