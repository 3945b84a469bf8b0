#pragma once

#define NORMFAST_VERSION "0.1.0"
