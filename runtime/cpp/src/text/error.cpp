#include "fdcn/fdcn.hpp"

namespace fdcn {

// Out of line, so that the class has one identity in a program of several libraries.
Error::~Error() = default;

}  // namespace fdcn
