//! The multiply-adds that the matrix ops report.

use mapsto_tensor::ops::{Conv2dParams, conv2d, linear};
use mapsto_tensor::{macs, testing::wave};

#[test]
fn convolution_and_linear_count_by_the_definition() {
    let params = Conv2dParams {
        stride: (2, 1),
        groups: 2,
        ..Default::default()
    };
    let (x, w) = (wave((3, 4, 7, 8), 0.1), wave((6, 2, 3, 2), 0.2));
    let (y, count) = macs::count(|| conv2d(&x, &w, None, &params).unwrap());
    assert_eq!(y.dims(), [3, 6, 3, 7]);
    assert_eq!(count, 3 * 6 * 3 * 7 * (2 * 3 * 2));
    let (_, count) = macs::count(|| linear(&x, &wave((5, 8), 0.3), None).unwrap());
    assert_eq!(count, (3 * 4 * 7) * 8 * 5);
}

#[test]
fn an_inner_count_is_part_of_the_outer_one() {
    let (x, w) = (wave((2, 3), 0.1), wave((4, 3), 0.2));
    let run = || linear(&x, &w, None).unwrap();
    run();
    let ((_, inner), outer) = macs::count(|| {
        run();
        macs::count(run)
    });
    assert_eq!((inner, outer), (24, 48));
}
