// Numbers drawn from the bytes of an input; zeros once they are used up.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

class Bytes {
  public:
    Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    std::uint8_t next() { return at_ < size_ ? data_[at_++] : std::uint8_t{0}; }

    bool flag() { return (next() & 1U) != 0; }

    // A whole number in [least, most].
    std::size_t between(std::size_t least, std::size_t most) {
        return least + next() % (most - least + 1);
    }

    // In [0, 1].
    double share() { return next() / 255.0; }

    double one_of(std::initializer_list<double> values) {
        return values.begin()[next() % values.size()];
    }

    // The factor of one step of a price: mostly small, at times more than a half.
    double step() {
        const double x = (next() - 128.0) / 128.0;
        return std::exp(1.5 * x * x * x);
    }

    // Seeds what is too long to be drawn byte by byte.
    std::uint64_t seed() {
        std::uint64_t value = 0;
        for (int i = 0; i < 4; ++i) value = value * 256 + next();
        return value;
    }

  private:
    const std::uint8_t* data_;
    std::size_t size_;
    std::size_t at_ = 0;
};
