#include "bundle/bundle.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "fdcn/fdcn.hpp"
#include "messages.h"
#include "tables.h"
#include "text/file.h"
#include "text/python_text.h"
#include "text/sha256.h"
#include "text/unicode_text.h"

namespace fdcn::impl {
namespace {

// The start of a hash, as it is shown.
std::string start(std::string const& hash) { return utf8(code_points(hash).substr(0, 12)); }

Manifest read_manifest(std::string const& path) {
    std::string const file = path_text(path, tables::kManifest);
    // A name with a NUL is none of a file; to the system it would end there.
    if (file.find('\0') != file.npos) throw Error(messages::bundle::does_not_exist(path));
    try {
        return parse_manifest(read_file(file), path);
    } catch (std::system_error const& error) {
        int const number = error.code().value();
        if (number != ENOENT && number != ENOTDIR) throw Error(messages::bundle::unreadable(file, reason(number)));
        struct stat status;
        bool const exists = ::stat(path.c_str(), &status) == 0;
        throw Error(exists ? messages::bundle::not_a_bundle(path) : messages::bundle::does_not_exist(path));
    }
}

bool names(Graph const& graph, std::string const& file) {
    return graph.file == file || std::find(graph.data.begin(), graph.data.end(), file) != graph.data.end();
}

// The command that makes a file.
char const* maker(Manifest const& manifest, std::string const& file) {
    for (auto const& graph : manifest.graphs)
        if (names(graph.second, file)) return "export";
    return manifest.calibration.count(file) ? "calibrate" : "build";
}

}  // namespace

Bundle::Bundle(std::string path) : path_(path_text(path)), manifest_(read_manifest(path_)) {}

std::string Bundle::file(std::string const& name) const {
    std::string const path = path_text(path_, name);
    File const& wanted = manifest_.files.at(name);
    // One thread hashes at a time, so that several that open the same bundle hash each file once.
    std::lock_guard<std::mutex> const lock(checking_);
    if (checked_.count(name)) return path;
    char const* const made_by = maker(manifest_, name);
    struct stat status;
    if (::stat(path.c_str(), &status) != 0) throw Error(messages::bundle::file_missing(path, made_by));
    if (status.st_size != wanted.bytes)
        throw Error(messages::bundle::file_size(path, status.st_size, wanted.bytes, made_by));
    std::string found;
    try {
        found = sha256_of_file(path);
    } catch (std::system_error const& error) {
        throw Error(messages::bundle::unreadable(path, reason(error.code().value())));
    }
    if (found != wanted.sha256)
        throw Error(messages::bundle::file_changed(path, start(found), start(wanted.sha256), made_by));
    checked_.insert(name);
    return path;
}

std::string Bundle::graph(Graph const& graph) const {
    for (std::string const& data : graph.data) file(data);
    return file(graph.file);
}

}  // namespace fdcn::impl
