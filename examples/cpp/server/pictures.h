// Pictures over HTTP, whatever library speaks it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include <fdcn/fdcn.hpp>

struct Answer {
    int status;
    std::string type, body;

    // {"error": message}
    static Answer refusal(int status, std::string const& message);
};

using Query = std::multimap<std::string, std::string>;  // as the URL has it, decoded

// Several threads may use one.
class Pictures {
public:
    Pictures(fdcn::Pipeline pipe, std::int64_t queue, std::int64_t largest);

    // A PNG for label=, and if given size=WIDTHxHEIGHT, seed=, steps=, guidance= and solver=. What the caller can mend
    // is a 400, and a full queue a 503.
    Answer generate(Query const& query);
    // What runs and how much there is to do, as JSON.
    Answer health() const;
    // Pictures that are being made or wait for it.
    std::int64_t waiting() const { return waiting_; }

private:
    fdcn::Pipeline pipe_;
    std::int64_t queue_, largest_;
    std::atomic<std::int64_t> waiting_{0};
};
