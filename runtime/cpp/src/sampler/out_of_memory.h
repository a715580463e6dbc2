// What a device says where its memory does not suffice.
#pragma once

#include <cstddef>
#include <string>

#include "fdcn/fdcn.hpp"

namespace fdcn::impl {

// The device has less memory free than something needs, in bytes. `mend` says what to do about it, if that is known.
class OutOfMemory : public Error {
public:
    OutOfMemory(std::string const& what, std::size_t needed, std::size_t free);
    OutOfMemory(std::string const& what, std::size_t needed, std::size_t free, std::string const& mend);
    ~OutOfMemory() override;

    std::string what_for;
    std::size_t needed, free;
};

}  // namespace fdcn::impl
