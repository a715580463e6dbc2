#include "text/sha256.h"

#include <openssl/evp.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "text/file.h"

namespace fdcn::impl {
namespace {

constexpr std::size_t kChunk = 1 << 20;

void check(int succeeded) {
    if (succeeded != 1) throw std::runtime_error("OpenSSL cannot compute SHA-256");
}

std::string hexadecimal(unsigned char const* bytes, std::size_t count) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += kDigits[bytes[i] >> 4];
        text += kDigits[bytes[i] & 15];
    }
    return text;
}

}  // namespace

std::string sha256_of_file(std::string const& path) {
    InputFile file(path);
    std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> const context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    check(context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr));
    std::vector<char> chunk(kChunk);
    while (std::size_t const count = file.read(chunk.data(), chunk.size()))
        check(EVP_DigestUpdate(context.get(), chunk.data(), count));
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    check(EVP_DigestFinal_ex(context.get(), digest, &size));
    return hexadecimal(digest, size);
}

}  // namespace fdcn::impl
