// An HTTP server of pictures:
//
//     server --bundle fdcn-model --port 8080 &
//     curl 'http://127.0.0.1:8080/generate?label=Bag&size=56x28&seed=1' > bag.png
//
// GET /generate gives a PNG, GET /health what runs; errors are JSON. Callers that come together are sampled together.
// SIGTERM and SIGINT end it once the pictures under way are delivered. It has neither TLS nor users, and callers that
// send their requests byte by byte can hold all of its threads: that is the job of what stands before it, a proxy that
// reads whole requests first.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <future>
#include <iostream>
#include <stdexcept>
#include <thread>

#include <httplib.h>

#include "options.h"
#include "pictures.h"

namespace {

using Clock = std::chrono::steady_clock;

// Threads beyond those that wait for pictures, to refuse more and to say how it goes.
constexpr int kSpareThreads = 4;
constexpr std::size_t kConnectionsAtMost = 256;  // that wait for a thread
// What callers have to take the last picture, and to finish sending requests, once the server is to end.
constexpr auto kGrace = std::chrono::seconds(3);

void reply(httplib::Response& response, Answer const& answer) {
    response.status = answer.status;
    response.set_content(answer.body, answer.type);
    if (answer.status == 503) response.set_header("Retry-After", "1");
}

// Returns once the server has ended by itself; where callers that read or send too slowly keep it, ends the process.
// cpp-httplib bounds the time of a read, not that of a request.
void wait_for_end(std::future<void> const& ended, Pictures const& pictures) {
    auto busy = Clock::now();
    while (ended.wait_for(std::chrono::milliseconds(20)) == std::future_status::timeout) {
        auto const now = Clock::now();
        if (pictures.waiting())
            busy = now;
        else if (now - busy > kGrace)
            std::_Exit(0);
    }
}

void serve(Options const& options, sigset_t const& ending) {
    Pictures pictures(fdcn::Pipeline::load(options.bundle), options.queue, options.largest);

    httplib::Server server;
    server.new_task_queue = [&] {
        return new httplib::ThreadPool(static_cast<std::size_t>(options.queue) + kSpareThreads, kConnectionsAtMost);
    };
    server.set_socket_options([](int socket) {  // cpp-httplib's own let two servers share a port
        int const yes = 1;
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server.set_keep_alive_timeout(1);  // seconds; what is idle must not hold a thread
    server.set_payload_max_length(1 << 10);
    std::atomic<bool> stopped{false};
    server.Get("/generate", [&](httplib::Request const& request, httplib::Response& response) {
        reply(response, stopped ? Answer::refusal(503, "the server is ending")
                                : pictures.generate({request.params.begin(), request.params.end()}));
    });
    server.Get("/health", [&](httplib::Request const&, httplib::Response& response) {
        reply(response, pictures.health());
    });
    server.set_error_handler([](httplib::Request const& request, httplib::Response& response) {
        if (!response.body.empty()) return;
        std::string const what = response.status == 404  ? request.method + " " + request.path + " is not served"
                                 : response.status < 500 ? "the request is too long or malformed"
                                                         : "the server failed";
        reply(response, Answer::refusal(response.status, what + "; there are GET /generate and GET /health"));
    });

    int const port = options.port ? options.port : server.bind_to_any_port(options.host);
    if (port < 0 || (options.port && !server.bind_to_port(options.host, port)))
        throw std::runtime_error("cannot listen at " + options.host + ":" + std::to_string(options.port));
    std::promise<void> listened;
    std::thread ender([&, listening = listened.get_future()] {
        int signal = 0;
        sigwait(&ending, &signal);
        server.wait_until_ready();  // to stop it before that would do nothing
        stopped = true;
        server.stop();
        wait_for_end(listening, pictures);
    });
    std::cout << "listening at http://" << options.host << ':' << port << std::endl;
    bool const ended = server.listen_after_bind();
    listened.set_value();
    if (!ended) pthread_kill(ender.native_handle(), SIGTERM);
    ender.join();
    if (!ended) throw std::runtime_error("the socket failed");
}

}  // namespace

int main(int argc, char** argv) {
    // Before there are threads, which inherit it: the signals then come to sigwait alone.
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ending, nullptr);
    try {
        serve(parse(argc, argv), ending);
    } catch (std::invalid_argument const& error) {
        std::cerr << "usage: " << argv[0] << " [--bundle FOLDER] [--host NAME] [--port NUMBER] [--queue PICTURES] "
                  << "[--largest PIXELS]\n" << error.what() << '\n';
        return 2;
    } catch (std::exception const& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 1;
    }
}
