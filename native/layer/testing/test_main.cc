#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "native/layer/testing/doctest.h"
