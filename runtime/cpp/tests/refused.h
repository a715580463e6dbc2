// What a refusal says.
#pragma once

#include <string>

#include "fdcn/fdcn.hpp"

namespace fdcn {

// The sentence of the Error that `call` throws.
template <class Call>
std::string refused(Call&& call) {
    try {
        call();
    } catch (Error const& error) {
        return error.what();
    }
    return "nothing was thrown";
}

}  // namespace fdcn
