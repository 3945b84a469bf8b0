#include <normfast/normfast.h>
#include <stdio.h>

int main(void) {
  float data[2][3] = {{1, 2, 3}, {10, 20, 30}};
  const int64_t shape[2] = {2, 3};
  normfast_view x = {0};
  normfast_layer_norm_options options = normfast_layer_norm_options_default();

  x.data = data;
  x.ndim = 2;
  x.shape = shape;
  x.dtype = NORMFAST_FLOAT32;
  options.out = &x; /* in place */
  if (normfast_layer_norm(&x, normfast_axis(1), &options) != NORMFAST_OK) {
    fprintf(stderr, "%s\n", normfast_last_error());
    return 1;
  }
  printf("%.4f %.4f %.4f\n", data[0][0], data[0][1], data[0][2]);
  return 0;
}
