"""The C++ tests once more, watched: by the compilers' sanitizers, and by valgrind."""

import functools
import os
import shutil

import pytest
from cpp_runtime import BUILD, ROOT, built, configure, environment, run

TESTS = ROOT / "runtime" / "cpp" / "tests"
SANITIZERS = {
    # libfdcn is used by programs that end themselves where it would: every finding fails.
    "address": "-fsanitize=address,undefined -fno-sanitize-recover=all",
    "thread": "-fsanitize=thread",
}
WATCHED = environment() | {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": f"suppressions={TESTS / 'tsan.supp'}:halt_on_error=1:second_deadlock_stack=1",
}
pytestmark = [pytest.mark.large, pytest.mark.skipif(os.name != "posix", reason="sanitizers are of Linux")]


@functools.cache
def watched(sanitizer):
    """The folder of the test programs with a sanitizer."""
    folder = BUILD.parent / f"cpp-{sanitizer}"
    flags = f"{SANITIZERS[sanitizer]} -fno-omit-frame-pointer -g1 -O1"
    # With sanitizers g++ warns of what cannot be: gcc.gnu.org says so of -fsanitize.
    options = [f"-DCMAKE_CXX_FLAGS={flags}", "-DCMAKE_BUILD_TYPE=Sanitized", "-DFDCN_WARNINGS_AS_ERRORS=OFF"]
    configure(ROOT / "runtime" / "cpp", folder, *options, "-DFDCN_INSTALL=OFF")
    return folder


def test_no_address_is_wrong_and_nothing_is_undefined():
    folder = watched("address")
    run("cmake", "--build", folder)
    run("ctest", "--test-dir", folder, "--output-on-failure", env=WATCHED)


def test_eight_threads_that_submit_do_not_race():
    folder = watched("thread")
    run("cmake", "--build", folder, "--target", "pipeline_tests")
    run(folder / "pipeline_tests", "--gtest_filter=Stress*:Submit*:Worker*:Gate*", env=WATCHED)


def test_one_run_under_valgrind():
    if shutil.which("valgrind") is None:
        pytest.skip("no run was watched by valgrind: it is not installed")
    command = ["valgrind", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite", "--quiet"]
    command += [f"--suppressions={TESTS / 'valgrind.supp'}", built() / "pipeline_tests"]
    run(*command, "--gtest_filter=Run.GivesWhatWasAskedFor")
