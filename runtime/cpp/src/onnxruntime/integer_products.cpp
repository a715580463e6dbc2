#include "onnxruntime/integer_products.h"

#include <algorithm>
#include <array>
#include <vector>

namespace fdcn::impl {

namespace {

// MatMulInteger (opset 10) of a, uint8, and b, int8, of any shapes: PRODUCT of runtime/backends/integer_products.py.
constexpr char kProduct[] =
    "\x08\x08:>\n\x18\n\x01"
    "a\n\x01"
    "b\x12\x01y\"\rMatMulInteger\x12\x01g"
    "Z\t\n\x01"
    "a\x12\x04\n\x02\x08\x02Z\t\n\x01"
    "b\x12\x04\n\x02\x08\x03"
    "b\t\n\x01y\x12\x04\n\x02\x08\x06"
    "B\x04\n\x00\x10\n";

template <class T>
Ort::Value matrix(std::vector<T>& values, std::int64_t rows) {
    std::array<std::int64_t, 2> const shape{rows, static_cast<std::int64_t>(values.size()) / rows};
    auto const memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
    return Ort::Value::CreateTensor<T>(memory, values.data(), values.size(), shape.data(), shape.size());
}

bool saturate(Ort::Env const& environment) {
    constexpr int kRows = 2, kTerms = 8, kColumns = 16;
    Ort::SessionOptions options;
    options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
    Ort::Session session(environment, kProduct, sizeof kProduct - 1, options);
    std::vector<std::uint8_t> a(kRows * kTerms, 255);
    std::vector<std::int8_t> b(kTerms * kColumns, 127);
    std::array<Ort::Value, 2> const given{matrix(a, kRows), matrix(b, kTerms)};
    std::array<char const*, 2> const inputs{"a", "b"};
    std::array<char const*, 1> const outputs{"y"};
    auto const made = session.Run(Ort::RunOptions(), inputs.data(), given.data(), given.size(), outputs.data(),
                                  outputs.size());
    auto const* const y = made[0].GetTensorData<std::int32_t>();
    return !std::all_of(y, y + kRows * kColumns, [](std::int32_t value) { return value == kTerms * 255 * 127; });
}

}  // namespace

bool integer_products_saturate(Ort::Env const& environment) {
    static bool const found = saturate(environment);
    return found;
}

}  // namespace fdcn::impl
