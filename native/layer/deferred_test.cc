#include "native/layer/deferred.h"

#include "native/layer/testing/doctest.h"

using namespace davit::layer;

TEST_CASE("deferred: what was remembered can be read again") {
  Deferred deferred;
  deferred.implied("a");
  deferred.implied("a/b\n\xff");
  deferred.described("a");
  deferred.described("nobody needed this");
  deferred.made_opaque("a/b\n\xff", true);
  deferred.made_opaque("o", false);
  deferred.whited_out("a");
  auto text = deferred.encode();
  REQUIRE(text.has_value());
  auto decoded = Deferred::decode(*text);
  REQUIRE(decoded.has_value());
  const auto& found = decoded->directories();
  REQUIRE(found.size() == 3);
  CHECK((found.at("a").implied && found.at("a").described && !found.at("a").filled));
  CHECK((found.at("a/b\n\xff").implied && !found.at("a/b\n\xff").described));
  CHECK(found.at("a/b\n\xff").filled);
  CHECK((found.at("a").whited_out && !found.at("o").whited_out));
  CHECK((!found.at("o").implied && found.at("o").described && !found.at("o").filled));
  CHECK(Deferred().encode() == "");
}

TEST_CASE("deferred: what is replaced, or too much, is lost") {
  for (const char* path : {"a", "a/b"}) {
    Deferred deferred;
    deferred.implied("a/b");
    deferred.replaced("a/bc");
    deferred.replaced("b");
    CHECK(deferred.encode().has_value());
    deferred.replaced(path);
    CHECK(deferred.lost());
    CHECK(!deferred.encode());
  }
  Deferred deferred;
  std::string name(1000, 'n');
  for (size_t i = 0; i < Deferred::kMaxBytes / 1000; i++)
    deferred.implied(name + std::to_string(i));
  CHECK(deferred.lost());
  CHECK(deferred.empty());
}

TEST_CASE("deferred: nothing else is taken for it") {
  std::string zero(1, '\0');
  CHECK(!Deferred::decode("1a"));
  CHECK(!Deferred::decode(zero));
  CHECK(!Deferred::decode("@a" + zero));
  CHECK(!Deferred::decode("1a" + zero + "1"));
  CHECK(!Deferred::decode("1" + std::string(Deferred::kMaxBytes, 'a') + zero));
}
