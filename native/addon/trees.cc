#include <fcntl.h>
#include <unistd.h>

#include "native/addon/arguments.h"
#include "native/addon/bindings.h"
#include "native/addon/job.h"
#include "native/kernel/fd.h"
#include "native/layer/copy_tree.h"
#include "native/layer/remove.h"
#include "native/layer/usage.h"

namespace davit::addon {
namespace {

Result<> remove_path(const std::string& path, const layer::Cancel& cancel) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.ends_with('/')) trimmed.pop_back();
  size_t slash = trimmed.rfind('/');
  std::string base = trimmed.substr(slash == std::string::npos ? 0 : slash + 1);
  if (slash == std::string::npos || base.empty() || base == "." || base == "..") {
    return fail(EINVAL, "remove \"" + path + "\": not an absolute path of a file");
  }
  std::string above = slash == 0 ? "/" : trimmed.substr(0, slash);
  Fd parent(open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent && errno == ENOENT) return {};
  if (!parent) return fail_errno("open directory \"" + above + "\"");
  return layer::remove_tree(parent.get(), base, slash == 0 ? "" : above, cancel);
}

Result<> sync_path(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open \"" + path + "\"");
  if (syncfs(fd.get()) < 0) return fail_errno("sync file system of \"" + path + "\"");
  return {};
}

Napi::Value remove_tree(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "removeTree");
  std::string path = arguments.string("path");
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), cancel,
             [path](const layer::Cancel& token) { return remove_path(path, token); });
}

Napi::Value copy_tree(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "copyTree");
  std::string from = arguments.string("from");
  std::string to = arguments.string("to");
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), cancel,
             [from, to](const layer::Cancel& token) { return layer::copy_tree(from, to, token); });
}

Napi::Value disk_usage(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "diskUsage");
  std::string path = arguments.string("path");
  std::string base = arguments.string_or_null("base").value_or("");
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return info.Env().Undefined();
  return run<layer::Usage>(
      info.Env(), cancel,
      [path, base](const layer::Cancel& token) { return layer::disk_usage(path, token, base); },
      usage_to_js);
}

Napi::Value sync_file_system(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "syncFileSystem");
  std::string path = arguments.string("path");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), std::make_shared<layer::Cancel>(),
             [path](const layer::Cancel&) { return sync_path(path); });
}

}  // namespace

Napi::Object usage_to_js(Napi::Env env, const layer::Usage& usage) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("bytes", Napi::BigInt::New(env, usage.bytes));
  object.Set("inodes", Napi::BigInt::New(env, usage.inodes));
  return object;
}

void add_trees(Napi::Env env, Napi::Object exports) {
  exports.Set("removeTree", Napi::Function::New<remove_tree>(env, "removeTree"));
  exports.Set("copyTree", Napi::Function::New<copy_tree>(env, "copyTree"));
  exports.Set("diskUsage", Napi::Function::New<disk_usage>(env, "diskUsage"));
  exports.Set("syncFileSystem", Napi::Function::New<sync_file_system>(env, "syncFileSystem"));
}

}  // namespace davit::addon
