/* normfast in C: the operations of normfast.hpp for whoever calls through a C ABI.
 *
 * An operation takes views of arrays the caller owns and a struct of options, and returns a
 * status. All of its arguments are checked before anything is written; no C++ exception leaves it.
 *
 *   normfast_layer_norm_options options = normfast_layer_norm_options_default();
 *   options.out = &y;
 *   if (normfast_layer_norm(&x, normfast_axis(1), &options) != NORMFAST_OK)
 *     fprintf(stderr, "%s\n", normfast_last_error());
 *
 * What an option means stands beside its namesake in normfast.hpp. The ABI grows by members at the
 * end of the options structs: `struct_size` says how many the caller knows, the others keep their
 * defaults. A caller that knows more than the library is refused.
 */
#ifndef NORMFAST_H
#define NORMFAST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "normfast/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Changes where programs would have to be compiled again. */
#define NORMFAST_ABI_VERSION 1

typedef enum normfast_status {
  NORMFAST_OK = 0,
  NORMFAST_VALUE_ERROR = 1, /* shapes, values, overlapping memory */
  NORMFAST_TYPE_ERROR = 2,  /* an element type */
  NORMFAST_NO_MEMORY = 3,
  NORMFAST_FAILURE = 4
} normfast_status;

typedef enum normfast_dtype {
  NORMFAST_FLOAT32,
  NORMFAST_FLOAT64,
  NORMFAST_FLOAT16,
  NORMFAST_BFLOAT16,
  NORMFAST_UINT8,
  NORMFAST_INT8,
  NORMFAST_UINT16,
  NORMFAST_INT16,
  NORMFAST_INT32,
  NORMFAST_INT64,
  NORMFAST_BOOL
} normfast_dtype;

typedef enum normfast_activation {
  NORMFAST_NO_ACTIVATION,
  NORMFAST_RELU,
  NORMFAST_GELU,
  NORMFAST_GELU_TANH,
  NORMFAST_SILU
} normfast_activation;

typedef enum normfast_norm { NORMFAST_L1, NORMFAST_L2, NORMFAST_MAX } normfast_norm;

/* An array of the caller's. A null pointer to a view is an argument that is not given. */
typedef struct normfast_view {
  void* data;
  const int64_t* shape;
  const int64_t* strides; /* bytes, negative and zero too; null: contiguous, in C order */
  int32_t ndim;
  int32_t dtype; /* a normfast_dtype */
} normfast_view;

/* A set of axes, as a bit each. */
static inline uint32_t normfast_axis(int i) { return (uint32_t)1 << i; }

NORMFAST_API int normfast_abi_version(void);
NORMFAST_API const char* normfast_version(void);

/* What the last call of this thread that failed had to say; "" before the first. It stands until
 * the next one. */
NORMFAST_API const char* normfast_last_error(void);

/* ---- Options. Every one has
 *   out          where the result goes
 *   mean, scale  null, or room for one value a statistic
 *   num_threads  0: OMP_NUM_THREADS, else what affinity and cgroup quota allow
 */

typedef struct normfast_mean_var_options {
  size_t struct_size;
  const normfast_view* out; /* stays null */
  double* mean;
  double* scale;
  const normfast_view* where;
  const normfast_view* sample_weight;
  double correction;
  int32_t num_threads;
  int32_t reserved;
} normfast_mean_var_options;
static inline normfast_mean_var_options normfast_mean_var_options_default(void) {
  normfast_mean_var_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  return options;
}

typedef struct normfast_layer_norm_options {
  size_t struct_size;
  const normfast_view* out;
  double* mean;
  double* scale;
  const normfast_view* weight;
  const normfast_view* bias;
  const normfast_view* residual; /* added to x before its statistics */
  const normfast_view* sum;      /* receives x + residual */
  const normfast_view* where;
  const normfast_view* sample_weight;
  double eps;
  int32_t activation; /* a normfast_activation */
  int32_t num_threads;
} normfast_layer_norm_options;
static inline normfast_layer_norm_options normfast_layer_norm_options_default(void) {
  normfast_layer_norm_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.eps = 1e-5;
  return options;
}

typedef struct normfast_rms_norm_options {
  size_t struct_size;
  const normfast_view* out;
  double* mean;
  double* scale;
  const normfast_view* weight;
  const normfast_view* residual;
  const normfast_view* sum;
  const normfast_view* where;
  const normfast_view* sample_weight;
  double weight_offset; /* added to weight */
  double eps;           /* negative: the machine epsilon of the computing type */
  int32_t activation;
  int32_t num_threads;
} normfast_rms_norm_options;
static inline normfast_rms_norm_options normfast_rms_norm_options_default(void) {
  normfast_rms_norm_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.eps = -1;
  return options;
}

typedef struct normfast_batch_norm_options {
  size_t struct_size;
  const normfast_view* out;
  double* mean;
  double* scale;
  const normfast_view* running_mean;
  const normfast_view* running_var;
  const normfast_view* num_batches_tracked; /* 0-d int64 */
  const normfast_view* weight;
  const normfast_view* bias;
  const normfast_view* add; /* added before the activation */
  const normfast_view* where;
  const normfast_view* sample_weight;
  double momentum;
  double eps;
  double running_var_correction;
  int32_t activation;
  int32_t training;
  int32_t cumulative; /* momentum is 1 / num_batches_tracked */
  int32_t num_threads;
} normfast_batch_norm_options;
static inline normfast_batch_norm_options normfast_batch_norm_options_default(void) {
  normfast_batch_norm_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.momentum = 0.1;
  options.eps = 1e-5;
  options.running_var_correction = 1;
  return options;
}

typedef struct normfast_instance_norm_options {
  size_t struct_size;
  const normfast_view* out;
  double* mean;
  double* scale;
  const normfast_view* running_mean;
  const normfast_view* running_var;
  const normfast_view* weight;
  const normfast_view* bias;
  const normfast_view* add;
  const normfast_view* where;
  const normfast_view* sample_weight;
  double momentum;
  double eps;
  int32_t activation;
  int32_t use_input_stats;
  int32_t num_threads;
  int32_t reserved;
} normfast_instance_norm_options;
static inline normfast_instance_norm_options normfast_instance_norm_options_default(void) {
  normfast_instance_norm_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.momentum = 0.1;
  options.eps = 1e-5;
  options.use_input_stats = 1;
  return options;
}

typedef struct normfast_group_norm_options {
  size_t struct_size;
  const normfast_view* out;
  double* mean;
  double* scale;
  const normfast_view* weight;
  const normfast_view* bias;
  const normfast_view* add;
  const normfast_view* where;
  const normfast_view* sample_weight;
  double eps;
  int32_t activation;
  int32_t num_threads;
} normfast_group_norm_options;
static inline normfast_group_norm_options normfast_group_norm_options_default(void) {
  normfast_group_norm_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.eps = 1e-5;
  return options;
}

typedef struct normfast_normalize_options {
  size_t struct_size;
  const normfast_view* out;
  double* mean;
  double* scale;
  const normfast_view* where;
  double eps;
  int32_t norm; /* a normfast_norm */
  int32_t num_threads;
} normfast_normalize_options;
static inline normfast_normalize_options normfast_normalize_options_default(void) {
  normfast_normalize_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.eps = 1e-12;
  options.norm = NORMFAST_L2;
  return options;
}

typedef struct normfast_weight_norm_options {
  size_t struct_size;
  const normfast_view* out;
  double* mean;
  double* scale;
  int32_t num_threads;
  int32_t reserved;
} normfast_weight_norm_options;
static inline normfast_weight_norm_options normfast_weight_norm_options_default(void) {
  normfast_weight_norm_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  return options;
}

typedef struct normfast_standardize_options {
  size_t struct_size;
  const normfast_view* out;
  double* mean;
  double* scale;
  const normfast_view* given_mean; /* both or neither */
  const normfast_view* given_deviation;
  const normfast_view* where;
  const normfast_view* sample_weight;
  double correction;
  int32_t num_threads;
  int32_t reserved;
} normfast_standardize_options;
static inline normfast_standardize_options normfast_standardize_options_default(void) {
  normfast_standardize_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  return options;
}

typedef struct normfast_normalize_image_options {
  size_t struct_size;
  const normfast_view* out;
  double* mean;
  double* scale;
  const normfast_view* image_mean; /* one value, or one a channel */
  const normfast_view* image_deviation;
  double image_scale; /* 0: 1/255 for integers, 1 for floats */
  int32_t channel_axis;
  int32_t out_channel_axis; /* of out; channel_axis is that of the image */
  int32_t swap_rb;
  int32_t num_threads;
} normfast_normalize_image_options;
static inline normfast_normalize_image_options normfast_normalize_image_options_default(void) {
  normfast_normalize_image_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  return options;
}

/* ---- Operations. Null options are the defaults. */

NORMFAST_API normfast_status normfast_mean_var(const normfast_view* x, uint32_t reduced,
                                               const normfast_mean_var_options* options);
NORMFAST_API normfast_status normfast_layer_norm(const normfast_view* x, uint32_t reduced,
                                                 const normfast_layer_norm_options* options);
NORMFAST_API normfast_status normfast_rms_norm(const normfast_view* x, uint32_t reduced,
                                               const normfast_rms_norm_options* options);
NORMFAST_API normfast_status normfast_batch_norm(const normfast_view* x, uint32_t channels,
                                                 const normfast_batch_norm_options* options);
NORMFAST_API normfast_status normfast_instance_norm(const normfast_view* x, int32_t channel_axis,
                                                    const normfast_instance_norm_options* options);
NORMFAST_API normfast_status normfast_group_norm(const normfast_view* x, int64_t num_groups,
                                                 int32_t channel_axis,
                                                 const normfast_group_norm_options* options);
NORMFAST_API normfast_status normfast_normalize(const normfast_view* x, uint32_t reduced,
                                                const normfast_normalize_options* options);
NORMFAST_API normfast_status normfast_weight_norm(const normfast_view* v, const normfast_view* g,
                                                  uint32_t channels,
                                                  const normfast_weight_norm_options* options);
NORMFAST_API normfast_status normfast_standardize(const normfast_view* x, uint32_t reduced,
                                                  const normfast_standardize_options* options);
NORMFAST_API normfast_status normfast_normalize_image(
    const normfast_view* image, const normfast_normalize_image_options* options);

/* ---- Prepared once, run many times on other arrays that lie alike: see prepared.hpp. */

typedef struct normfast_prepared normfast_prepared;

typedef struct normfast_arrays {
  size_t struct_size;
  const void* x;
  void* out;
  const void* addend; /* residual, or add */
  void* sum;
  double* mean;
  double* scale;
} normfast_arrays;
static inline normfast_arrays normfast_arrays_of(const void* x, void* out) {
  normfast_arrays arrays;
  memset(&arrays, 0, sizeof arrays);
  arrays.struct_size = sizeof arrays;
  arrays.x = x;
  arrays.out = out;
  return arrays;
}

/* Each leaves an object in *prepared, for normfast_prepared_free; null where it fails. */
NORMFAST_API normfast_status normfast_prepare_mean_var(const normfast_view* x, uint32_t reduced,
                                                       const normfast_mean_var_options* options,
                                                       normfast_prepared** prepared);
NORMFAST_API normfast_status normfast_prepare_layer_norm(const normfast_view* x, uint32_t reduced,
                                                         const normfast_layer_norm_options* options,
                                                         normfast_prepared** prepared);
NORMFAST_API normfast_status normfast_prepare_rms_norm(const normfast_view* x, uint32_t reduced,
                                                       const normfast_rms_norm_options* options,
                                                       normfast_prepared** prepared);
NORMFAST_API normfast_status normfast_prepare_batch_norm(const normfast_view* x, uint32_t channels,
                                                         const normfast_batch_norm_options* options,
                                                         normfast_prepared** prepared);
NORMFAST_API normfast_status normfast_prepare_instance_norm(
    const normfast_view* x, int32_t channel_axis, const normfast_instance_norm_options* options,
    normfast_prepared** prepared);
NORMFAST_API normfast_status normfast_prepare_group_norm(const normfast_view* x, int64_t num_groups,
                                                         int32_t channel_axis,
                                                         const normfast_group_norm_options* options,
                                                         normfast_prepared** prepared);
NORMFAST_API normfast_status normfast_prepare_normalize(const normfast_view* x, uint32_t reduced,
                                                        const normfast_normalize_options* options,
                                                        normfast_prepared** prepared);
NORMFAST_API normfast_status normfast_prepare_weight_norm(
    const normfast_view* v, const normfast_view* g, uint32_t channels,
    const normfast_weight_norm_options* options, normfast_prepared** prepared);
NORMFAST_API normfast_status normfast_prepare_standardize(
    const normfast_view* x, uint32_t reduced, const normfast_standardize_options* options,
    normfast_prepared** prepared);
NORMFAST_API normfast_status normfast_prepare_normalize_image(
    const normfast_view* image, const normfast_normalize_image_options* options,
    normfast_prepared** prepared);

NORMFAST_API int64_t normfast_prepared_blocks(const normfast_prepared* prepared);
NORMFAST_API normfast_status normfast_prepared_run(const normfast_prepared* prepared,
                                                   const normfast_arrays* arrays);
NORMFAST_API normfast_status normfast_prepared_run_blocks(const normfast_prepared* prepared,
                                                          const normfast_arrays* arrays,
                                                          int64_t first_block, int64_t last_block);
NORMFAST_API void normfast_prepared_free(normfast_prepared* prepared); /* null does nothing */

#ifdef __cplusplus
}
#endif

#endif
