#include "onnxruntime/integer_products.h"

#include <algorithm>
#include <array>
#include <vector>

#include "tables.h"

namespace fdcn::impl {

namespace {

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
    Ort::Session session(environment, tables::kIntegerProduct, sizeof tables::kIntegerProduct, options);
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
