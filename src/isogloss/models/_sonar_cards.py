"""What SONAR reads and hears: its languages, and the file and licence of every speech encoder.

The facts are those of the cards and of LICENSE.md in facebookresearch/SONAR. No torch here.
"""

from dataclasses import dataclass

HOME = "https://dl.fbaipublicfiles.com/SONAR/"
"""Where the released files are, each under its own name."""
TEXT_FILE = "sonar_text_encoder.pt"
TOKENISER_FILE = "sentencepiece.source.256000.model"
NON_COMMERCIAL = "CC-BY-NC-4.0"

_TEXT = """
ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn amh_Ethi apc_Arab
arb_Arab ars_Arab ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn
bak_Cyrl bam_Latn ban_Latn bel_Cyrl bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt
bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab crh_Latn cym_Latn
dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn
ewe_Latn fao_Latn pes_Arab fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gla_Latn
gle_Latn glg_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn
hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kab_Latn
kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor knc_Arab knc_Latn kaz_Cyrl kbp_Latn
kea_Latn khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kon_Latn kor_Hang kmr_Latn lao_Laoo
lvs_Latn lij_Latn lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn
luo_Latn lus_Latn mag_Deva mai_Deva mal_Mlym mar_Deva min_Latn mkd_Cyrl plt_Latn mlt_Latn
mni_Beng khk_Cyrl mos_Latn mri_Latn zsm_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva
nso_Latn nus_Latn nya_Latn oci_Latn gaz_Latn ory_Orya pag_Latn pan_Guru pap_Latn pol_Latn
por_Latn prs_Arab pbt_Arab quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Beng
scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn smo_Latn sna_Latn snd_Arab som_Latn sot_Latn
spa_Latn als_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn szl_Latn tam_Taml
tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi taq_Latn taq_Tfng tpi_Latn tsn_Latn
tso_Latn tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab
uzn_Latn vec_Latn vie_Latn war_Latn wol_Latn xho_Latn ydd_Hebr yor_Latn yue_Hant zho_Hans
zho_Hant zul_Latn
"""
TEXT_LANGUAGES = tuple(_TEXT.split())
"""The text encoder's languages; their order gives the ids of their tokens."""

_RELEASES = {
    "spenc.v3ap.": (
        "MIT",
        "arb cat cym dan deu est fin fra ind ita kor nld pes por ron spa swh tgl tur uzn",
    ),
    "spenc.v5ap.": (
        NON_COMMERCIAL,
        "asm bel ben bos bul ces cmn guj heb hin hrv jpn kan lao lit lvs mal mar mkd mlt npi ory "
        "pan pol rus slk slv snd srp tam tel tha ukr urd vie yue",
    ),
    "spenc.": ("not stated", "eng"),
}


@dataclass(frozen=True)
class Card:
    """The speech encoder of one language."""

    language: str
    """ISO 639-3."""
    file: str
    licence: str

    @property
    def names(self) -> tuple[str, ...]:
        """What its file may be called, by preference, as shell patterns."""
        stems = (
            self.file.removesuffix(".pt"),
            f"sonar_speech_encoder_{self.language}",
            f"spenc*.{self.language}",
        )
        return tuple(f"{stem}{end}" for stem in stems for end in (".pt", ".safetensors"))


SPEECH: dict[str, Card] = {
    code: Card(code, f"{start}{code}.pt", licence)
    for start, (licence, codes) in _RELEASES.items()
    for code in codes.split()
}
"""ISO 639-3 code -> its speech encoder."""


def text_codes() -> frozenset[str]:
    """ISO 639-3 codes of the text encoder's languages; it calls Mandarin by its macrolanguage."""
    codes = {code.partition("_")[0] for code in TEXT_LANGUAGES}
    return frozenset(codes - {"zho"} | {"cmn"})


def licences() -> str:
    """The licences of all released weights, in a line."""
    by_licence: dict[str, list[str]] = {}
    for card in SPEECH.values():
        by_licence.setdefault(card.licence, []).append(card.language)
    speech = "; ".join(f"{licence}: {' '.join(codes)}" for licence, codes in by_licence.items())
    return f"licences of the weights: text {NON_COMMERCIAL}; speech {speech}"
