// src/net/asio_build.cc: the one place where Asio's own code is compiled.
#include <boost/asio/impl/src.hpp>
