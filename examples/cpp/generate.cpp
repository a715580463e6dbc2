// Pictures of the classes that are named, side by side in one file: generate BUNDLE OUT.png [CLASS…]
#include <exception>
#include <iostream>

#include <fdcn/fdcn.hpp>

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: " << argv[0] << " BUNDLE OUT.png [CLASS…]\n";
        return 2;
    }
    try {
        auto const pipe = fdcn::Pipeline::load(argv[1]);
        fdcn::Request request;
        request.labels.assign(argv + 3, argv + argc);
        request.seed = 1;
        for (auto const& note : pipe.notes(request)) std::cerr << "note: " << note << '\n';

        auto const images = pipe.run(request);
        images.save(argv[2]);
        std::cout << images.count() << " of " << images.width() << "x" << images.height() << ", by " << pipe.backend()
                  << '\n';
    } catch (fdcn::Error const& error) {  // what whoever calls can mend; the message says how
        std::cerr << "error: " << error.what() << '\n';
        return 1;
    } catch (std::exception const& error) {
        std::cerr << "defect: " << error.what() << '\n';
        return 3;
    }
}
