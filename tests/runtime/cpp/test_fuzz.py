"""A minute of libFuzzer on everything that reads what strangers write, with the sanitizers on."""

import concurrent.futures
import shutil
import subprocess

import pytest
from cpp_runtime import ROOT, configure, environment, run

CPP = ROOT / "runtime" / "cpp"
SECONDS = 60
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all"


@pytest.fixture(scope="module")
def fuzzers(tmp_path_factory):
    """The folder of the programs that clang makes of fuzz/*.cpp."""
    path = environment()["PATH"]
    compiler = next((found for name in ("clang++", "clang++-14") if (found := shutil.which(name, path=path))), None)
    if compiler is None:
        pytest.skip("nothing was fuzzed: there is no clang")
    build = tmp_path_factory.mktemp("fuzz")
    (build / "empty.cpp").write_text('extern "C" int LLVMFuzzerTestOneInput(char const*, long) { return 0; }\n')
    probe = [compiler, "-fsanitize=fuzzer,address,undefined", build / "empty.cpp", "-o", build / "empty"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip(f"nothing was fuzzed: {compiler} has no libFuzzer (Debian's libclang-rt-dev)")
    flags = f"{SANITIZERS} -fsanitize=fuzzer-no-link -g1"
    options = ["-DFDCN_FUZZ=ON", "-DFDCN_ONNXRUNTIME=OFF", "-DCMAKE_BUILD_TYPE=RelWithDebInfo"]
    configure(CPP, build, f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_CXX_FLAGS={flags}", *options)
    run("cmake", "--build", build, "--target", *(f"fuzz_{source.stem}" for source in (CPP / "fuzz").glob("*.cpp")))
    return build


@pytest.mark.large
def test_nothing_crashes(fuzzers, tmp_path):
    def fuzz(name):
        seeds, found = CPP / "fuzz" / "seeds" / name, tmp_path / name
        found.mkdir()
        limits = [f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=16384"]
        run(fuzzers / f"fuzz_{name}", *limits, "-seed=1", f"-artifact_prefix={found}/", found, seeds)

    with concurrent.futures.ThreadPoolExecutor() as pool:  # at once: each takes one core
        list(pool.map(fuzz, ("manifest", "request")))
