// A libcuda.so.1 with one GPU, as much of it as the library calls.
#include <cstring>

namespace {

int version = 13000, status = 0;
thread_local int contexts = 0;
char context;

}  // namespace

extern "C" {

void simulated_driver(int new_version, int new_status) {
    version = new_version;
    status = new_status;
}
int simulated_contexts() { return contexts; }

int cuInit(unsigned) { return status; }
int cuDeviceGetCount(int* count) { return *count = 1, 0; }
int cuDriverGetVersion(int* found) { return *found = version, 0; }
int cuDeviceGet(int* device, int index) { return *device = index, 0; }
int cuDeviceGetName(char* name, int size, int) {
    std::strncpy(name, "Simulated GPU", static_cast<std::size_t>(size));
    return 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int) { return *value = attribute == 75 ? 8 : 6, 0; }
int cuGetErrorString(int, char const** text) { return *text = "unknown error", 0; }
int cuDevicePrimaryCtxRetain(void** found, int) { return *found = &context, 0; }
int cuCtxPushCurrent_v2(void*) { return ++contexts, 0; }
int cuCtxPopCurrent_v2(void** before) { return *before = &context, --contexts, 0; }
}
