/* The C ABI through the installed header and library: exits with 0 if it is right. */
#include <math.h>
#include <normfast/normfast.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;

static void expect(int right, const char* what) {
  if (right) return;
  fprintf(stderr, "failed: %s (%s)\n", what, normfast_last_error());
  ++failures;
}

static const int64_t shape[2] = {2, 3};
static const int64_t three = 3;
static const float wanted[6] = {-1.2247449f, 0, 1.2247449f, -1.2247449f, 0, 1.2247449f};

static normfast_view matrix(float* data) {
  normfast_view view = {0};
  view.data = data;
  view.ndim = 2;
  view.shape = shape;
  view.dtype = NORMFAST_FLOAT32;
  return view;
}

static int right(const float* y, double tolerance) {
  int i;
  for (i = 0; i < 6; ++i) {
    if (fabs((double)y[i] - wanted[i]) > tolerance) return 0;
  }
  return 1;
}

static void calls(void) {
  float x[6] = {1, 2, 3, -10, 0, 10}, y[6] = {0};
  double mean[2], rstd[2];
  const normfast_view from = matrix(x), to = matrix(y);
  normfast_layer_norm_options options = normfast_layer_norm_options_default();
  options.out = &to;
  options.mean = mean;
  options.scale = rstd;
  options.eps = 0;
  expect(normfast_layer_norm(&from, normfast_axis(1), &options) == NORMFAST_OK, "layer_norm");
  expect(right(y, 1e-6), "its values");
  expect(mean[0] == 2 && mean[1] == 0, "its means");
}

static void errors(void) {
  float x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {0};
  normfast_view from = matrix(x), to = matrix(y);
  normfast_layer_norm_options options = normfast_layer_norm_options_default();
  options.out = &to;
  options.eps = -1;
  expect(normfast_layer_norm(&from, 2, &options) == NORMFAST_VALUE_ERROR, "a negative eps");
  expect(strstr(normfast_last_error(), "eps is -1") != NULL, "what it says");
  expect(y[0] == 0, "nothing is written");
  options.eps = 0;
  from.dtype = NORMFAST_INT64;
  expect(normfast_layer_norm(&from, 2, &options) == NORMFAST_TYPE_ERROR, "integers");
  from.dtype = 99;
  expect(normfast_layer_norm(&from, 2, &options) == NORMFAST_VALUE_ERROR, "no such type");
  from = matrix(NULL);
  expect(normfast_layer_norm(&from, 2, &options) == NORMFAST_VALUE_ERROR, "null data");
  expect(normfast_layer_norm(NULL, 2, &options) == NORMFAST_VALUE_ERROR, "a null view");
}

static void versions(void) {
  float x[6] = {1, 2, 3, -10, 0, 10}, y[6] = {0};
  const normfast_view from = matrix(x), to = matrix(y);
  normfast_layer_norm_options options = normfast_layer_norm_options_default();
  expect(normfast_abi_version() == NORMFAST_ABI_VERSION, "the library is this header's");
  options.out = &to;
  /* A program that was compiled when the struct ended before eps gets the default of eps. */
  options.eps = -1;
  options.struct_size = offsetof(normfast_layer_norm_options, eps);
  expect(normfast_layer_norm(&from, 2, &options) == NORMFAST_OK, "a shorter struct");
  expect(right(y, 1e-4) && !right(y, 1e-6), "its values");
  options.struct_size = sizeof options + 8;
  expect(normfast_layer_norm(&from, 2, &options) == NORMFAST_VALUE_ERROR, "a longer struct");
  options.struct_size = 0;
  expect(normfast_layer_norm(&from, 2, &options) == NORMFAST_VALUE_ERROR, "no struct_size");
}

static void prepared(void) {
  float x[6] = {1, 2, 3, -10, 0, 10}, y[6] = {0}, one[3] = {1, 1, 1};
  const normfast_view from = matrix(NULL), to = matrix(NULL);
  normfast_view weight = {0};
  normfast_arrays arrays = normfast_arrays_of(x, y);
  normfast_layer_norm_options options = normfast_layer_norm_options_default();
  normfast_prepared* norm = NULL;
  int64_t blocks, i;
  weight.data = one;
  weight.shape = &three;
  weight.ndim = 1;
  options.out = &to;
  options.weight = &weight;
  options.eps = 0;
  options.num_threads = 1;
  expect(normfast_prepare_layer_norm(&from, 2, &options, &norm) == NORMFAST_OK, "prepare");
  expect(normfast_prepared_run(norm, &arrays) == NORMFAST_OK, "run");
  expect(right(y, 1e-6), "its values");
  memset(y, 0, sizeof y);
  blocks = normfast_prepared_blocks(norm);
  for (i = blocks; i-- > 0;) {
    expect(normfast_prepared_run_blocks(norm, &arrays, i, i + 1) == NORMFAST_OK, "a block");
  }
  expect(right(y, 1e-6), "its values by blocks");
  expect(normfast_prepared_run_blocks(norm, &arrays, 0, blocks + 1) == NORMFAST_VALUE_ERROR,
         "a block too many");
  arrays.out = x + 1;
  expect(normfast_prepared_run(norm, &arrays) == NORMFAST_VALUE_ERROR, "out overlaps x");
  normfast_prepared_free(norm);
  normfast_prepared_free(NULL);
}

static void statistics(void) {
  float x[6] = {1, 2, 3, -10, 0, 10};
  double mean[2], var[2];
  const normfast_view from = matrix(NULL);
  normfast_arrays arrays = normfast_arrays_of(x, NULL);
  normfast_mean_var_options options = normfast_mean_var_options_default();
  normfast_prepared* moments = NULL;
  options.correction = 1;
  arrays.mean = mean;
  arrays.scale = var;
  expect(normfast_prepare_mean_var(&from, 2, &options, &moments) == NORMFAST_OK, "prepare");
  expect(normfast_prepared_run(moments, &arrays) == NORMFAST_OK, "run");
  expect(mean[0] == 2 && mean[1] == 0 && var[0] == 1 && var[1] == 100, "mean and variance");
  normfast_prepared_free(moments);
}

int main(void) {
  expect(strcmp(normfast_last_error(), "") == 0, "no error before the first");
  calls();
  errors();
  versions();
  prepared();
  statistics();
  return failures != 0;
}
