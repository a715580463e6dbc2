#include "sampler/out_of_memory.h"

#include "messages.h"
#include "text/python_text.h"

namespace fdcn::impl {

OutOfMemory::OutOfMemory(std::string const& what, std::size_t needed, std::size_t free)
    : OutOfMemory(what, needed, free, messages::device::free_some_or_smaller()) {}

OutOfMemory::OutOfMemory(std::string const& what, std::size_t needed, std::size_t free, std::string const& mend)
    : Error(messages::device::out_of_memory(what, format_bytes(static_cast<double>(needed)),
                                            format_bytes(static_cast<double>(free)), mend)),
      what_for(what),
      needed(needed),
      free(free) {}

OutOfMemory::~OutOfMemory() = default;

}  // namespace fdcn::impl
