#include "native/layer/deferred.h"

namespace davit::layer {
namespace {

// Of one directory in the encoding, beside its path: how it is, and a zero byte.
constexpr size_t kOverhead = 2;

}  // namespace

Deferred::Directory* Deferred::add(std::string path) {
  if (lost_) return nullptr;
  size_t size = path.size() + kOverhead;
  auto [at, added] = directories_.try_emplace(std::move(path));
  if (added) bytes_ += size;
  if (bytes_ <= kMaxBytes) return &at->second;
  lose();
  return nullptr;
}

void Deferred::lose() {
  lost_ = true;
  directories_.clear();
}

void Deferred::implied(std::string path) {
  if (Directory* directory = add(std::move(path))) *directory = {.implied = true};
}

void Deferred::described(const std::string& path) {
  if (auto at = directories_.find(path); at != directories_.end()) at->second.described = true;
}

// If nothing else is known of it.
Deferred::Directory* Deferred::add_described(std::string path) {
  Directory* directory = add(std::move(path));
  if (directory != nullptr && !directory->implied) directory->described = true;
  return directory;
}

void Deferred::made_opaque(std::string path, bool filled) {
  if (Directory* directory = add_described(std::move(path))) directory->filled = filled;
}

void Deferred::whited_out(std::string path) {
  if (Directory* directory = add_described(std::move(path))) directory->whited_out = true;
}

void Deferred::replaced(std::string_view path) {
  std::string below = std::string(path) + "/";
  auto at = directories_.lower_bound(below);
  bool within = at != directories_.end() && at->first.starts_with(below);
  if (within || directories_.contains(path)) lose();
}

std::optional<std::string> Deferred::encode() const {
  if (lost_) return std::nullopt;
  std::string text;
  text.reserve(bytes_);
  for (const auto& [path, directory] : directories_) {
    int bits = directory.implied | directory.described << 1 | directory.filled << 2 |
               directory.whited_out << 3;
    text += static_cast<char>('0' + bits);
    text += path;
    text += '\0';
  }
  return text;
}

std::optional<Deferred> Deferred::decode(std::string_view text) {
  Deferred deferred;
  while (!text.empty()) {
    size_t end = text.find('\0');
    int bits = text.front() - '0';
    if (end == std::string_view::npos || end == 0 || bits < 0 || bits > 15) return std::nullopt;
    Directory* directory = deferred.add(std::string(text.substr(1, end - 1)));
    if (directory == nullptr) return std::nullopt;
    *directory = {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0};
    text.remove_prefix(end + 1);
  }
  return deferred;
}

}  // namespace davit::layer
