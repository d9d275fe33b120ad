"""What is known of backbones without building or fetching them.

The rows of keras.applications and of KerasHub's presets are what
`scripts/tabulate_backbones.py` printed with Keras 3.15.1 and keras-hub 0.32.0;
a test builds some again.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Known:
    """A network of keras.applications, less its classifier.

    Args:
        side: Of its images by default, in pixels.
        min_side: Of the smallest images it can be built for.
        feature_dim: Number of features a vector.
        num_parameters: Of the network, all frozen.
        pixels: What `?range=` calls the pixels it takes.
    """

    side: int
    min_side: int
    feature_dim: int
    num_parameters: int
    pixels: str


DEFAULT_SIDE = 224  # Of images for networks that say nothing themselves.
DEFAULT_SIZE = (DEFAULT_SIDE, DEFAULT_SIDE)
# Keras lets these be built with ImageNet's weights for no other size.
IMAGENET_AT_ONE_SIZE = ("NASNetLarge", "NASNetMobile")

APPLICATIONS = {
    "ConvNeXtBase": Known(224, 32, 1024, 87_566_464, "0,255"),
    "ConvNeXtLarge": Known(224, 32, 1536, 196_230_336, "0,255"),
    "ConvNeXtSmall": Known(224, 32, 768, 49_454_688, "0,255"),
    "ConvNeXtTiny": Known(224, 32, 768, 27_820_128, "0,255"),
    "ConvNeXtXLarge": Known(224, 32, 2048, 348_147_968, "0,255"),
    "DenseNet121": Known(224, 32, 1024, 7_037_504, "torch"),
    "DenseNet169": Known(224, 32, 1664, 12_642_880, "torch"),
    "DenseNet201": Known(224, 32, 1920, 18_321_984, "torch"),
    "EfficientNetB0": Known(224, 32, 1280, 4_049_571, "0,255"),
    "EfficientNetB1": Known(240, 32, 1280, 6_575_239, "0,255"),
    "EfficientNetB2": Known(260, 32, 1408, 7_768_569, "0,255"),
    "EfficientNetB3": Known(300, 32, 1536, 10_783_535, "0,255"),
    "EfficientNetB4": Known(380, 32, 1792, 17_673_823, "0,255"),
    "EfficientNetB5": Known(456, 32, 2048, 28_513_527, "0,255"),
    "EfficientNetB6": Known(528, 32, 2304, 40_960_143, "0,255"),
    "EfficientNetB7": Known(600, 32, 2560, 64_097_687, "0,255"),
    "EfficientNetV2B0": Known(224, 32, 1280, 5_919_312, "0,255"),
    "EfficientNetV2B1": Known(240, 32, 1280, 6_931_124, "0,255"),
    "EfficientNetV2B2": Known(260, 32, 1408, 8_769_374, "0,255"),
    "EfficientNetV2B3": Known(300, 32, 1536, 12_930_622, "0,255"),
    "EfficientNetV2L": Known(480, 32, 1280, 117_746_848, "0,255"),
    "EfficientNetV2M": Known(480, 32, 1280, 53_150_388, "0,255"),
    "EfficientNetV2S": Known(384, 32, 1280, 20_331_360, "0,255"),
    "InceptionResNetV2": Known(299, 75, 1536, 54_336_736, "-1,1"),
    "InceptionV3": Known(299, 75, 2048, 21_802_784, "-1,1"),
    "MobileNet": Known(224, 32, 1024, 3_228_864, "-1,1"),
    "MobileNetV2": Known(224, 32, 1280, 2_257_984, "-1,1"),
    "MobileNetV3Large": Known(224, 32, 960, 2_996_352, "0,255"),
    "MobileNetV3Small": Known(224, 32, 576, 939_120, "0,255"),
    "NASNetLarge": Known(331, 32, 4032, 84_916_818, "-1,1"),
    "NASNetMobile": Known(224, 32, 1056, 4_269_716, "-1,1"),
    "ResNet101": Known(224, 32, 2048, 42_658_176, "caffe"),
    "ResNet101V2": Known(224, 32, 2048, 42_626_560, "-1,1"),
    "ResNet152": Known(224, 32, 2048, 58_370_944, "caffe"),
    "ResNet152V2": Known(224, 32, 2048, 58_331_648, "-1,1"),
    "ResNet50": Known(224, 32, 2048, 23_587_712, "caffe"),
    "ResNet50V2": Known(224, 32, 2048, 23_564_800, "-1,1"),
    "VGG16": Known(224, 32, 512, 14_714_688, "caffe"),
    "VGG19": Known(224, 32, 512, 20_024_384, "caffe"),
    "Xception": Known(299, 71, 2048, 20_861_480, "-1,1"),
}

# Modules by their handles. Side, features and parameters are those of the
# module's page, and of the same network built by Keras.
MODULES = {
    "hub:https://tfhub.dev/google/imagenet/mobilenet_v2_140_224/feature_vector"
    "/4": Known(224, 224, 1792, 4_363_712, "0,1"),
    "kaggle:google/mobilenet-v2/tensorFlow2/140-224-feature-vector": Known(
        224, 224, 1792, 4_363_712, "0,1"
    ),
}

# Parameters by preset, as KerasHub's own lists give them; of feature sizes
# and pixels they say nothing.
KERAS_HUB_PRESETS = {
    "csp_darknet_53_ra_imagenet": 27_642_184,
    "csp_resnet_50_ra_imagenet": 21_616_168,
    "csp_resnext_50_ra_imagenet": 20_569_896,
    "darknet_53_imagenet": 41_609_928,
    "deit_base_distilled_patch16_224_imagenet": 85_800_192,
    "deit_base_distilled_patch16_384_imagenet": 86_092_032,
    "deit_small_distilled_patch16_224_imagenet": 21_666_432,
    "deit_tiny_distilled_patch16_224_imagenet": 5_524_800,
    "densenet_121_imagenet": 7_037_504,
    "densenet_169_imagenet": 12_642_880,
    "densenet_201_imagenet": 18_321_984,
    "dinov2_base": 87_632_640,
    "dinov2_giant": 1_138_585_088,
    "dinov2_large": 305_771_520,
    "dinov2_small": 22_582_656,
    "dinov2_with_registers_base": 87_635_712,
    "dinov2_with_registers_giant": 1_138_591_232,
    "dinov2_with_registers_large": 305_775_616,
    "dinov2_with_registers_small": 22_584_192,
    "dinov3_vit_7b_lvd1689m": 6_700_000_000,
    "dinov3_vit_7b_sat493m": 6_700_000_000,
    "dinov3_vit_base_lvd1689m": 86_000_000,
    "dinov3_vit_huge_plus_lvd1689m": 840_000_000,
    "dinov3_vit_large_lvd1689m": 300_000_000,
    "dinov3_vit_large_sat493m": 300_000_000,
    "dinov3_vit_small_lvd1689m": 21_600_000,
    "dinov3_vit_small_plus_lvd1689m": 29_000_000,
    "efficientnet2_rw_m_agc_imagenet": 53_236_442,
    "efficientnet2_rw_s_ra2_imagenet": 23_941_296,
    "efficientnet2_rw_t_ra2_imagenet": 13_649_388,
    "efficientnet_b0_ra4_e3600_r224_imagenet": 5_288_548,
    "efficientnet_b0_ra_imagenet": 5_288_548,
    "efficientnet_b1_ft_imagenet": 7_794_184,
    "efficientnet_b1_ra4_e3600_r240_imagenet": 7_794_184,
    "efficientnet_b2_ra_imagenet": 9_109_994,
    "efficientnet_b3_ra2_imagenet": 12_233_232,
    "efficientnet_b4_ra2_imagenet": 19_341_616,
    "efficientnet_b5_sw_ft_imagenet": 30_389_784,
    "efficientnet_b5_sw_imagenet": 30_389_784,
    "efficientnet_el_ra_imagenet": 10_589_712,
    "efficientnet_em_ra2_imagenet": 6_899_496,
    "efficientnet_es_ra_imagenet": 5_438_392,
    "efficientnet_lite0_ra_imagenet": 4_652_008,
    "hgnetv2_b4_ssld_stage2_ft_in1k": 13_599_072,
    "hgnetv2_b5_ssld_stage1_in22k_in1k": 33_419_680,
    "hgnetv2_b5_ssld_stage2_ft_in1k": 33_419_680,
    "hgnetv2_b6_ssld_stage1_in22k_in1k": 69_179_888,
    "hgnetv2_b6_ssld_stage2_ft_in1k": 69_179_888,
    "mit_b0_ade20k_512": 3_321_962,
    "mit_b0_cityscapes_1024": 3_321_962,
    "mit_b1_ade20k_512": 13_156_554,
    "mit_b1_cityscapes_1024": 13_156_554,
    "mit_b2_ade20k_512": 24_201_418,
    "mit_b2_cityscapes_1024": 24_201_418,
    "mit_b3_ade20k_512": 44_077_258,
    "mit_b3_cityscapes_1024": 44_077_258,
    "mit_b4_ade20k_512": 60_847_818,
    "mit_b4_cityscapes_1024": 60_847_818,
    "mit_b5_ade20k_640": 81_448_138,
    "mit_b5_cityscapes_1024": 81_448_138,
    "mobilenet_v3_large_100_imagenet": 2_996_352,
    "mobilenet_v3_large_100_imagenet_21k": 2_996_352,
    "mobilenet_v3_small_050_imagenet": 278_784,
    "mobilenet_v3_small_100_imagenet": 939_120,
    "resnet_101_imagenet": 42_605_504,
    "resnet_152_imagenet": 58_295_232,
    "resnet_18_imagenet": 11_186_112,
    "resnet_50_imagenet": 23_561_152,
    "resnet_v2_101_imagenet": 42_605_504,
    "resnet_v2_50_imagenet": 23_561_152,
    "resnet_vd_101_imagenet": 44_673_864,
    "resnet_vd_101_ssld_imagenet": 44_673_864,
    "resnet_vd_152_imagenet": 60_363_592,
    "resnet_vd_18_imagenet": 11_722_824,
    "resnet_vd_200_imagenet": 74_933_064,
    "resnet_vd_34_imagenet": 21_838_408,
    "resnet_vd_50_imagenet": 25_629_512,
    "resnet_vd_50_ssld_imagenet": 25_629_512,
    "resnet_vd_50_ssld_v2_fix_imagenet": 25_629_512,
    "resnet_vd_50_ssld_v2_imagenet": 25_629_512,
    "swin_base_patch4_window12_384": 86_878_584,
    "swin_base_patch4_window7_224": 86_743_224,
    "swin_large_patch4_window12_384": 195_198_516,
    "swin_large_patch4_window7_224": 194_995_476,
    "swin_small_patch4_window7_224": 48_837_258,
    "swin_tiny_patch4_window7_224": 27_519_354,
    "vgg_11_imagenet": 9_220_480,
    "vgg_13_imagenet": 9_404_992,
    "vgg_16_imagenet": 14_714_688,
    "vgg_19_imagenet": 20_024_384,
    "vit_base_patch16_224_imagenet": 85_798_656,
    "vit_base_patch16_224_imagenet21k": 85_798_656,
    "vit_base_patch16_384_imagenet": 86_090_496,
    "vit_base_patch32_224_imagenet21k": 87_455_232,
    "vit_base_patch32_384_imagenet": 87_528_192,
    "vit_huge_patch14_224_imagenet21k": 630_764_800,
    "vit_large_patch16_224_imagenet": 303_301_632,
    "vit_large_patch16_224_imagenet21k": 303_301_632,
    "vit_large_patch16_384_imagenet": 303_690_752,
    "vit_large_patch32_224_imagenet21k": 305_510_400,
    "vit_large_patch32_384_imagenet": 305_607_680,
    "xception_41_imagenet": 20_861_480,
}
