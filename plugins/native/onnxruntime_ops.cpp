// fdcn::MultiScaleDCN for ONNX Runtime on a CPU: a library that a session registers by its path.
#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <vector>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include "contract.h"
#include "cpu_kernel.h"

namespace fdcn {
namespace {

// ONNX Runtime calls through a C interface, which no exception may cross.
template <class Body>
OrtStatus* guarded(Body&& body) noexcept {
    try {
        body();
        return nullptr;
    } catch (Ort::Exception const& error) {
        return Ort::GetApi().CreateStatus(error.GetOrtErrorCode(), error.what());
    } catch (std::exception const& error) {
        return Ort::GetApi().CreateStatus(ORT_FAIL, error.what());
    }
}

[[noreturn]] void refuse(std::string const& what) {
    throw Ort::Exception(std::string(kName) + ": " + what, ORT_INVALID_ARGUMENT);
}

struct Layout {
    int groups, taps;

    // The shape of a call, from the shapes of its inputs.
    Shape shape(std::vector<int64_t> const& projection, std::vector<int64_t> const& prior,
                std::vector<int64_t> const& s_max) const {
        int64_t const width = projection.size() == 4 ? projection[3] : 0;
        int64_t const values = width - int64_t{kTapFields} * groups * taps;
        if (values < groups || values % groups)
            refuse("a projection " + std::to_string(width) + " wide cannot hold " + std::to_string(groups) +
                   " groups of " + std::to_string(taps) + " taps and equal values");
        if (prior != std::vector<int64_t>{taps, 2}) refuse("prior is not [taps, 2]");
        if (s_max != std::vector<int64_t>{projection[0], 2}) refuse("s_max is not [N, 2]");
        Shape const shape{projection[0], projection[1], projection[2], groups, static_cast<int>(values / groups), taps};
        if (!shape.valid() || shape.tokens() > INT32_MAX) refuse("the grid is too large");
        return shape;
    }
};

// Floats from the session's arena, which has them ready from the last call.
class Workspace {
 public:
    Workspace(Ort::KernelContext const& context, size_t floats) {
        auto const where = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
        allocator_ = context.GetAllocator(*where);
        memory_ = allocator_->Alloc(allocator_, floats * sizeof(float) + cpu::kAlignment);
        if (memory_ == nullptr) {
            Ort::GetApi().ReleaseAllocator(allocator_);
            throw std::bad_alloc();
        }
    }
    ~Workspace() {
        allocator_->Free(allocator_, memory_);
        Ort::GetApi().ReleaseAllocator(allocator_);
    }
    Workspace(Workspace const&) = delete;
    Workspace& operator=(Workspace const&) = delete;

    float* floats() const {
        auto const address = reinterpret_cast<uintptr_t>(memory_) + cpu::kAlignment - 1;
        return reinterpret_cast<float*>(address / cpu::kAlignment * cpu::kAlignment);
    }

 private:
    OrtAllocator* allocator_;
    void* memory_;
};

template <typename T>
constexpr cpu::Type kType = sizeof(T) == 4 ? cpu::Type::kFloat32 : cpu::Type::kFloat16;

template <typename T>
class Kernel {
 public:
    explicit Kernel(Layout layout) : layout_(layout), kernel_(cpu::kernel(kType<T>)) {}

    OrtStatus* ComputeV2(OrtKernelContext* raw) noexcept {
        return guarded([&] {
            Ort::KernelContext context(raw);
            auto const projection = context.GetInput(0), prior = context.GetInput(1), s_max = context.GetInput(2);
            auto dimensions = shape_of(projection);
            Shape const shape = layout_.shape(dimensions, shape_of(prior), shape_of(s_max));
            dimensions[3] = shape.values();
            auto out = context.GetOutput(0, dimensions);
            if (shape.empty()) return;
            cpu::Call call{shape, projection.GetTensorRawData(), prior.GetTensorData<float>(),
                           s_max.GetTensorData<float>(), out.GetTensorMutableRawData(), nullptr};
            Workspace const workspace(context, call.workspace_floats());
            call.workspace = workspace.floats();
            parallel(context, call, kernel_.pack);
            parallel(context, call, kernel_.sum);
        });
    }

 private:
    // Every unit of a phase, over the threads of the session.
    static void parallel(Ort::KernelContext const& context, cpu::Call const& call, void (*phase)(cpu::Call const&, long long)) {
        struct Work {
            cpu::Call const& call;
            void (*phase)(cpu::Call const&, long long);
        } work{call, phase};
        auto const one = [](void* work, size_t unit) {
            static_cast<Work*>(work)->phase(static_cast<Work*>(work)->call, static_cast<long long>(unit));
        };
        context.ParallelFor(one, static_cast<size_t>(call.units()), 0, &work);
    }

    static std::vector<int64_t> shape_of(Ort::ConstValue value) {
        return value.GetTensorTypeAndShapeInfo().GetShape();
    }

    Layout layout_;
    cpu::Kernel kernel_;
};

template <typename T, ONNXTensorElementDataType element>
struct Op : Ort::CustomOpBase<Op<T, element>, Kernel<T>, true> {
    OrtStatus* CreateKernelV2(OrtApi const&, OrtKernelInfo const* info, void** kernel) const noexcept {
        return guarded([&] {
            Ort::ConstKernelInfo const attributes(info);
            auto const groups = attributes.GetAttribute<int64_t>(kGroups), taps = attributes.GetAttribute<int64_t>(kTaps);
            if (groups < 1 || taps < 1 || groups > INT32_MAX / taps / kTapFields) refuse("groups or taps are impossible");
            *kernel = new Kernel<T>(Layout{static_cast<int>(groups), static_cast<int>(taps)});
        });
    }

    char const* GetName() const { return kName; }
    char const* GetExecutionProviderType() const { return "CPUExecutionProvider"; }
    size_t GetInputTypeCount() const { return 3; }
    ONNXTensorElementDataType GetInputType(size_t index) const {
        return index == 0 ? element : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    }
    size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(size_t) const { return element; }
};

}  // namespace
}  // namespace fdcn

// For libfdcn, which these objects are part of too and which has made the API callable.
extern "C" OrtStatus* register_fdcn_operator(OrtSessionOptions* options) {
    return fdcn::guarded([&] {
        static fdcn::Op<float, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT> const float32;
        static fdcn::Op<uint16_t, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16> const float16;
        static Ort::CustomOpDomain const domain = [] {
            Ort::CustomOpDomain made{fdcn::kDomain};
            made.Add(&float32);
            made.Add(&float16);
            return made;
        }();
        Ort::UnownedSessionOptions(options).Add(domain);
    });
}

#ifdef FDCN_OPERATOR_ALONE
extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                               OrtApiBase const* base) {
    // Once: another session's thread may be reading what this writes.
    [[maybe_unused]] static bool const callable = (Ort::InitApi(base->GetApi(ORT_API_VERSION)), true);
    return register_fdcn_operator(options);
}
#endif
