"""Stage gpu-cpp: the C++ runtime on this GPU, its pictures and their time beside Python's.

Needs nvcc, CMake, TENSORRT_ROOT with headers and libraries of the TensorRT that Python has here, and what the C++
runtime needs of a system: OpenSSL, libpng, nlohmann_json and GoogleTest, in the system's folders or in
build/deps/system, a folder like /usr. ONNX Runtime is left out where build/deps/onnxruntime-cpp does not have it.
"""

from stages import Check, later

NAME = "gpu-cpp"
SOURCES = ("CMakeLists.txt", "runtime/**/*.py", "runtime/native/*", "runtime/cpp/**/*", "plugins/*.py")
SOURCES += ("plugins/native/*", "data/*.json", "bundle.py", "gpu.py", "messages.py", "benchmarks/gpu/cpp*")
SOURCES += ("benchmarks/gpu/shipped.py", "benchmarks/gpu/engine_timings.py", "benchmarks/gpu/stages.py")

CHECKS: dict[str, Check] = {
    "build": later("cpp_build", "build"),
    "pictures float32": later("cpp_checks", "pictures", "float32"),
    "on the device": later("cpp_checks", "on_the_device"),
    "times": later("cpp_times", "shipped_model"),
    "times of S/2": later("cpp_times", "s2"),
    "pictures float16": later("cpp_checks", "pictures", "float16"),
    "refusals": later("cpp_checks", "refusals"),
    "many sizes": later("cpp_checks", "many_sizes"),
    "tests": later("cpp_build", "tests"),
}
