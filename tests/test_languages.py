import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import StudyError
from isogloss.languages import (
    RESOURCE_LEVELS,
    UNKNOWN,
    language,
    languages,
    level,
    name_of,
    rank,
    resolve,
    studied_level,
)

# The configurations of google/fleurs, as its loading script lists them.
CONFIGURATIONS = """
af_za am_et ar_eg as_in ast_es az_az be_by bg_bg bn_in bs_ba ca_es ceb_ph ckb_iq cmn_hans_cn cs_cz
cy_gb da_dk de_de el_gr en_us es_419 et_ee fa_ir ff_sn fi_fi fil_ph fr_fr ga_ie gl_es gu_in ha_ng
he_il hi_in hr_hr hu_hu hy_am id_id ig_ng is_is it_it ja_jp jv_id ka_ge kam_ke kea_cv kk_kz km_kh
kn_in ko_kr ky_kg lb_lu lg_ug ln_cd lo_la lt_lt luo_ke lv_lv mi_nz mk_mk ml_in mn_mn mr_in ms_my
mt_mt my_mm nb_no ne_np nl_nl nso_za ny_mw oc_fr om_et or_in pa_in pl_pl ps_af pt_br ro_ro ru_ru
sd_in sk_sk sl_si sn_zw so_so sr_rs sv_se sw_ke ta_in te_in tg_tj th_th tr_tr uk_ua umb_ao ur_pk
uz_uz vi_vn wo_sn xh_za yo_ng yue_hant_hk zu_za
"""
FLEURS = CONFIGURATIONS.split()
NOT_READ_BY_SEAMLESS = "ast hau kam kea lin ltz mri nso oci umb wol xho"
"""Languages of which the text encoder of SeamlessM4T v2 has no token."""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("deu", "deu"), ("de", "deu"), ("de_de", "deu"), ("de-DE", "deu"), ("deu_Latn", "deu"),
        ("German", "deu"), ("zho_Hans", "cmn"), ("zh", "cmn"), ("cmn_hans_cn", "cmn"),
        ("yue", "yue"), ("yue_Hant", "yue"), ("zho_Hant", "yue"), ("sw_ke", "swh"),
        ("nb", "nob"), ("no", "nob"), ("fil", "tgl"), ("tl", "tgl"), ("msa", "zsm"),
        ("orm", "gaz"), ("ku_arab_iq", "ckb"), ("rup_bg", "bul"), ("sd_arab_in", "snd"),
        ("oci_fr", "oci"), ("jw", "jav"), ("jv", "jav"), ("zho_simpl", "cmn"), ("es-419", "spa"),
    ],
)  # fmt: skip
def test_codes_of_all_systems_are_understood(code, expected):
    assert language(code).code == expected


@given(st.sampled_from(sorted(languages())))
def test_every_code_of_a_language_leads_back_to_it(code):
    found = languages()[code]
    systems = (found.code, found.fleurs, found.fleurs_alias, found.flores101, found.flores200)
    for value in (*systems, found.whisper, found.seamless, found.sonar_text, found.name):
        assert not value or language(value).code == code


def test_no_code_means_two_languages():
    owners = {}
    for known in languages().values():
        named = (
            known.code, known.fleurs, known.fleurs_alias, known.flores101, known.flores200,
            known.whisper, known.seamless, known.sonar_text, known.name,
            known.fleurs.partition("_")[0],
        )  # fmt: skip
        for value in filter(None, named):
            owners.setdefault(value.casefold(), set()).add(known.code)
    assert not {value: codes for value, codes in owners.items() if len(codes) > 1}


def test_the_languages_are_those_of_fleurs():
    table = languages()
    assert sorted(x.fleurs for x in table.values()) == sorted(FLEURS)
    assert len(set(FLEURS)) == len(table) == 102
    assert list(table) == sorted(table)
    for known in table.values():
        assert re.fullmatch("[a-z]{3}", known.code)
        assert re.fullmatch("[A-Z][a-z]{3}", known.script)
        assert known.family
        assert known.name
        assert known.flores101
        assert known.flores_plus
        assert known.sonar_text in (known.flores200, "yue_Hant")
        # What Table 1 and FLORES call individual languages, not macrolanguages.
        start = {"cmn": "zho", "yue": "zho"}.get(known.code, known.code)
        assert known.flores200.startswith(start)
    assert not [c for c in ("zho", "nor", "fas", "msa", "lav", "mon", "orm", "swa") if c in table]
    assert " ".join(c for c, x in table.items() if not x.seamless) == NOT_READ_BY_SEAMLESS


def test_what_the_study_does_not_say_is_unknown():
    table = languages()
    studied = {c for c, x in table.items() if x.in_seamless_salmonn or x.in_sonar}
    assert len(studied) == 36
    for code, known in table.items():
        published = (known.published_utterances, known.published_sentences)
        assert (code in studied) == all(n is not None for n in published)
        assert (known.resource in RESOURCE_LEVELS) == (code in studied)
        assert known.resource in (*RESOURCE_LEVELS, UNKNOWN)
    # Two rows of Table 1, and its smallest and largest numbers.
    assert (table["nld"].published_utterances, table["nld"].published_sentences) == (364, 251)
    assert (table["mar"].published_utterances, table["mar"].published_sentences) == (1020, 349)
    assert min(table[c].published_sentences for c in resolve(["paper-seamless"])) == 251
    assert max(table[c].published_sentences for c in studied) == 350
    levels = [table[c].resource for c in sorted(studied)]
    assert [levels.count(level) for level in RESOURCE_LEVELS] == [10, 10, 16]


def test_the_voices_are_those_of_espeak_ng():
    pytest.importorskip("espeakng_loader")
    from isogloss.synthesis import _fresh_engine

    voices = {known.espeak for known in languages().values()} - {""}
    with _fresh_engine() as (library, _):
        absent = [v for v in voices if library.espeak_SetVoiceByName(v.encode()) != 0]
    assert len(voices) > 70
    assert not absent


def test_the_codes_are_those_of_whisper():
    tokenization = pytest.importorskip("transformers.models.whisper.tokenization_whisper")
    codes = {known.whisper for known in languages().values()} - {""}
    assert codes <= set(tokenization.LANGUAGES)
    assert len(codes) == len(tokenization.LANGUAGES) - 17 == 83


def test_unknown_languages_get_the_nearest():
    with pytest.raises(StudyError, match='unknown language "deuu"; did you mean "deu"'):
        language("deuu")


def test_sets_of_languages():
    found = resolve(["paper-sonar", "de_de"])
    assert len(found) == 30
    assert found["deu"] == ""
    assert found["eng"] == "paper-sonar"
    assert all(languages()[code].sonar_speech for code in found)
    seamless, common = resolve(["paper-seamless"]), resolve(["paper-common"])
    assert list(seamless) == list(resolve(["paper-salmonn"]))
    assert len(seamless) == 30
    assert set(common) == set(seamless) & set(found)
    assert len(common) == 24
    with pytest.raises(StudyError, match='did you mean "paper-sonar"'):
        resolve(["paper_sonar"])


def test_levels_of_codes_in_order():
    known = {"deu": "high", "hin": "medium", "amh": "low", "afr": UNKNOWN, "xxx": UNKNOWN}
    assert {code: level(code) for code in known} == known
    assert sorted(known, key=lambda code: (rank(level(code)), code)) == [
        "deu", "hin", "amh", "afr", "xxx",
    ]  # fmt: skip
    assert [studied_level(code) for code in ("amh", "afr", "xxx")] == ["low", "", ""]
    assert (name_of("deu"), name_of("xxx")) == ("German", "xxx")
