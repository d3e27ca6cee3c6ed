#include <fcntl.h>

#include "native/addon/arguments.h"
#include "native/addon/bindings.h"
#include "native/addon/job.h"
#include "native/layer/apply.h"
#include "native/layer/diff.h"
#include "native/layer/erofs_image.h"
#include "native/layer/recompress.h"

namespace davit::addon {
namespace {

// `detect`, `none`, `gzip` or `zstd`.
std::optional<layer::Compression> compression_from(const std::string& name) {
  if (name == "detect") return layer::Compression::kDetect;
  if (name == "none") return layer::Compression::kNone;
  if (name == "gzip") return layer::Compression::kGzip;
  if (name == "zstd") return layer::Compression::kZstd;
  return std::nullopt;
}

Napi::Value unknown_compression(Napi::Env env, const std::string& where) {
  Napi::TypeError::New(env, where + ".compression: Unknown compression")
      .ThrowAsJavaScriptException();
  return env.Undefined();
}

std::optional<layer::Time> epoch_from(Arguments& arguments) {
  auto epoch = arguments.object_or_null("epoch");
  if (!epoch) return std::nullopt;
  return layer::Time{epoch->integer("seconds"), epoch->integer("nanos")};
}

Napi::Value bytes_to_js(Napi::Env env, const std::string& bytes) {
  return Napi::Buffer<char>::Copy(env, bytes.data(), bytes.size());
}

Napi::Value apply_layer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info, "applyLayer");
  std::string path = arguments.string("blob");
  int64_t offset = arguments.integer("offset");
  int64_t length = arguments.integer_or_null("length").value_or(-1);
  auto compression = compression_from(arguments.string("compression"));
  layer::ApplyOptions options;
  options.root = arguments.string("root");
  if (auto lowers = arguments.strings_or_null("lowers")) {
    options.overlay = true;
    options.lowers = std::move(*lowers);
  }
  options.marks.user = arguments.boolean("userXattr");
  options.max_size = arguments.integer_or_null("maxSize").value_or(-1);
  options.max_entries = arguments.integer_or_null("maxEntries").value_or(-1);
  options.sync = arguments.boolean("sync");
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return env.Undefined();
  if (!compression) return unknown_compression(env, "applyLayer.args[0]");

  return run<layer::ApplySummary>(
      env, cancel,
      [=](const layer::Cancel& token) -> Result<layer::ApplySummary> {
        Fd blob(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!blob) return fail_errno("open \"" + path + "\"");
        return layer::apply(std::move(blob), offset, length, *compression, options, token);
      },
      [](Napi::Env result_env, const layer::ApplySummary& summary) {
        Napi::Object object = Napi::Object::New(result_env);
        object.Set("digest", summary.digest);
        object.Set("size", Napi::BigInt::New(result_env, summary.size));
        object.Set("entries", Napi::BigInt::New(result_env, summary.entries));
        object.Set("marked", Napi::BigInt::New(result_env, summary.marked));
        object.Set("deferred", result_env.Null());
        if (summary.deferred) object.Set("deferred", bytes_to_js(result_env, *summary.deferred));
        object.Set("usage", result_env.Null());
        if (summary.usage) object.Set("usage", usage_to_js(result_env, *summary.usage));
        return object;
      });
}

Napi::Value settle_layer(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "settleLayer");
  std::string root = arguments.string("root");
  std::vector<std::string> lowers = arguments.strings("lowers");
  std::string deferred = arguments.bytes("deferred");
  layer::OverlayMarks marks{arguments.boolean("userXattr")};
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return info.Env().Undefined();
  return run<bool>(
      info.Env(), cancel,
      [=](const layer::Cancel& token) {
        return layer::settle(root, lowers, deferred, marks, token);
      },
      [](Napi::Env env, const bool& fits) { return Napi::Boolean::New(env, fits); });
}

Napi::Object written_layer(Napi::Env env, const layer::BlobSummary& summary) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("digest", summary.digest);
  object.Set("size", Napi::BigInt::New(env, summary.size));
  object.Set("uncompressedDigest", summary.uncompressed_digest);
  object.Set("uncompressedSize", Napi::BigInt::New(env, summary.uncompressed_size));
  return object;
}

Napi::Value diff_layer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info, "diffLayer");
  layer::DiffOptions options;
  options.left = arguments.string_or_null("left").value_or("");
  options.right = arguments.string("right");
  options.overlay = arguments.boolean("overlay");
  options.marks.user = arguments.boolean("userXattr");
  std::string path = arguments.string("file");
  auto compression = compression_from(arguments.string("compression"));
  options.epoch = epoch_from(arguments);
  std::string uids, gids;
  if (auto ids = arguments.object_or_null("ids")) {
    uids = ids->string("uids");
    gids = ids->string("gids");
  }
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return env.Undefined();
  if (!compression || *compression == layer::Compression::kDetect) {
    return unknown_compression(env, "diffLayer.args[0]");
  }

  return run<layer::BlobSummary>(
      env, cancel,
      [=](const layer::Cancel& token) mutable -> Result<layer::BlobSummary> {
        if (!uids.empty()) {
          DAVIT_ASSIGN(options.uids, kernel::parse_id_map(uids));
          DAVIT_ASSIGN(options.gids, kernel::parse_id_map(gids));
        }
        Fd file(open(path.c_str(), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC));
        if (!file) return fail_errno("open \"" + path + "\"");
        return layer::diff(std::move(file), *compression, options, token);
      },
      written_layer);
}

Napi::Value recompress_layer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info, "recompressLayer");
  std::string blob = arguments.string("blob");
  std::string path = arguments.string("file");
  auto compression = compression_from(arguments.string("compression"));
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return env.Undefined();
  if (!compression || *compression == layer::Compression::kDetect) {
    return unknown_compression(env, "recompressLayer.args[0]");
  }
  return run<layer::BlobSummary>(
      env, cancel,
      [=](const layer::Cancel& token) -> Result<layer::BlobSummary> {
        Fd in(open(blob.c_str(), O_RDONLY | O_CLOEXEC));
        if (!in) return fail_errno("open \"" + blob + "\"");
        Fd out(open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
        if (!out) return fail_errno("open \"" + path + "\"");
        return layer::recompress(std::move(in), std::move(out), *compression, token);
      },
      written_layer);
}

Napi::Value make_erofs(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "makeErofs");
  std::string root = arguments.string("root");
  std::string path = arguments.string("file");
  layer::ErofsOptions options;
  options.epoch = epoch_from(arguments);
  options.digest = arguments.boolean("digest");
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return info.Env().Undefined();
  return run<layer::ErofsSummary>(
      info.Env(), cancel,
      [=](const layer::Cancel& token) -> Result<layer::ErofsSummary> {
        Fd file(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        if (!file) return fail_errno("open \"" + path + "\"");
        return layer::make_erofs(root, std::move(file), options, token);
      },
      [](Napi::Env env, const layer::ErofsSummary& summary) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("digest", summary.digest);
        object.Set("size", Napi::BigInt::New(env, summary.size));
        return object;
      });
}

}  // namespace

void add_layers(Napi::Env env, Napi::Object exports) {
  exports.Set("applyLayer", Napi::Function::New<apply_layer>(env, "applyLayer"));
  exports.Set("settleLayer", Napi::Function::New<settle_layer>(env, "settleLayer"));
  exports.Set("diffLayer", Napi::Function::New<diff_layer>(env, "diffLayer"));
  exports.Set("makeErofs", Napi::Function::New<make_erofs>(env, "makeErofs"));
  exports.Set("recompressLayer", Napi::Function::New<recompress_layer>(env, "recompressLayer"));
}

}  // namespace davit::addon
