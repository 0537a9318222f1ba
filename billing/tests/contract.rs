//! The contract every store keeps: each case runs on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

#[path = "contract/axb.rs"]
mod axb;
#[path = "contract/calls.rs"]
mod calls;
#[path = "contract/campaigns.rs"]
mod campaigns;
#[path = "contract/campaigns_v1.rs"]
mod campaigns_v1;
#[path = "contract/conferences.rs"]
mod conferences;
#[path = "contract/desk.rs"]
mod desk;
#[path = "contract/fraud.rs"]
mod fraud;
#[path = "contract/groups.rs"]
mod groups;
#[path = "contract/menus.rs"]
mod menus;
#[path = "contract/numbers.rs"]
mod numbers;
#[path = "contract/objects.rs"]
mod objects;
#[path = "contract/outbox.rs"]
mod outbox;
#[path = "contract/payments.rs"]
mod payments;
#[path = "contract/policies.rs"]
mod policies;
#[path = "contract/random.rs"]
mod random;
#[path = "contract/recorded.rs"]
mod recorded;
#[path = "contract/refunds.rs"]
mod refunds;
#[path = "contract/smpp.rs"]
mod smpp;
#[path = "contract/sms.rs"]
mod sms;
mod support;
#[path = "contract/trail.rs"]
mod trail;
#[path = "contract/twice.rs"]
mod twice;
#[path = "contract/voicemail.rs"]
mod voicemail;
#[path = "contract/webhooks.rs"]
mod webhooks;

use std::pin::Pin;

use billing::{Store, StoreConfig};
use support::postgres::Cluster;

type Case = fn(Store, String) -> Pin<Box<dyn Future<Output = ()>>>;

/// Each case as a test on SQLite, and all of them in one test on PostgreSQL (a cluster takes seconds to make).
macro_rules! contract {
    ($( $module:ident :: $case:ident ),* $(,)?) => {
        mod sqlite {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}/tandem.db", folder.path().display());
                let store = super::Store::open(&url, super::StoreConfig::default()).await.unwrap();
                super::$module::$case(store, url).await;
            } )*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgres_keeps_the_whole_contract() {
            let Some(cluster) = Cluster::start(false) else { return };
            $( {
                let name = stringify!($case);
                eprintln!("postgres::{name}");
                // PostgreSQL cuts names at 63 bytes.
                let url = cluster.database(&name[..name.len().min(60)]);
                let store = Store::open(&url, StoreConfig::default()).await.unwrap();
                // Each is made apart: the frame of one function has no room for all of them.
                let case: Case = |store, url| Box::pin($module::$case(store, url));
                case(store.clone(), url).await;
                store.close().await;
            } )*
        }

        /// Where texts are ordered as a language has it: a colon is before each digit there.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgres_in_english_keeps_what_orders_texts() {
            let Some(cluster) = Cluster::start(false) else { return };
            let cases: [(&str, Case); 3] = [
                ("listed", |store, url| {
                    Box::pin(campaigns_v1::what_becomes_of_a_campaign_is_told_once(store, url))
                }),
                ("bound", |store, url| {
                    Box::pin(axb::s6_axb_who_begins_reads_what_holds_and_what_changes_from_then_on(store, url))
                }),
                ("numbers", |store, url| Box::pin(objects::the_snapshot_is_what_was_applied(store, url))),
            ];
            for (name, case) in cases {
                let url = cluster.database_in(name, "en");
                let store = Store::open(&url, StoreConfig::default()).await.unwrap();
                case(store.clone(), url).await;
                store.close().await;
            }
        }
    };
}

contract! {
    smpp::s5_6_links_stand_in_the_file_and_their_passwords_nowhere_else,
    smpp::s5_5_parts_wait_for_the_others_and_are_whole_once,
    smpp::s5_5_of_parts_that_come_at_one_time_one_makes_it_whole,
    smpp::s5_5_the_same_words_are_another_message_after_a_while,
    smpp::s5_5_parts_that_have_left_are_known_and_old_receipts_are_nobodys,
    smpp::s5_5_parts_of_nothing_close_a_link_to_nobody_else,
    smpp::s5_5_a_receipt_of_a_part_that_left_long_before_the_others_counts,
    sms::s5_5_a_message_is_paid_with_its_row_and_given_back_when_nobody_takes_it,
    sms::s5_5_of_many_at_once_as_many_are_sold_as_can_be_paid_for,
    sms::a_receipt_is_of_its_part_whichever_comes_first,
    sms::what_a_message_says_is_forgotten_once_nobody_sends_it,
    sms::receipts_of_two_parts_at_once_are_both_counted,
    sms::s5_5_a_code_does_not_stand_behind_mail_to_a_whole_town,
    sms::s5_5_what_nobody_wants_any_more_is_given_up_and_not_paid,
    sms::s4_1_whoever_signs_up_with_a_sandbox_is_sent_nothing,
    sms::s4_1_who_signs_up_by_text_has_an_account_once_and_its_password_by_answer,
    sms::s4_1_of_sign_ups_that_come_at_one_time_three_are_answered,
    sms::what_is_written_belongs_to_whose_keyword_it_bears,
    sms::s5_3_what_the_page_answers_is_sent_once_where_its_code_says_so,
    sms::s5_5_who_sends_and_what_comes_in_stand_in_the_file,
    axb::s6_axb_each_side_of_a_number_has_one_binding_at_a_time,
    menus::s5_1_codes_are_applied_taken_away_and_in_the_snapshot,
    menus::s5_1_every_mistake_of_a_code_is_told,
    menus::s5_2_a_session_costs_its_price_once_and_tries_cost_nothing,
    menus::s5_2_whoever_cannot_pay_is_told_so_before_the_page_is_asked,
    menus::s5_2_of_many_at_once_as_many_are_opened_as_can_be_paid_for,
    menus::s5_2_what_nobody_was_told_is_given_back_and_what_a_process_left_is_lost,
    axb::s6_axb_nobody_has_two_bindings_whatever_two_clocks_say,
    axb::s6_axb_a_number_that_passes_to_another_merchant_is_free,
    axb::s6_axb_a_merchant_has_so_many_bindings_at_a_time,
    axb::s6_axb_bindings_are_looked_for_and_hold_as_long_as_may_be,
    axb::s6_axb_a_privacy_number_is_one_outside,
    axb::s6_axb_who_begins_reads_what_holds_and_what_changes_from_then_on,
    axb::s6_axb_changes_are_known_to_another_process_and_kept_over_a_restart,
    campaigns::a_campaign_is_told_by_the_records_of_its_calls,
    campaigns::a_campaign_begins_pauses_and_ends,
    campaigns::a_number_that_waits_already_is_called_once,
    campaigns::numbers_come_to_no_campaign_that_is_cancelled_meanwhile,
    campaigns::a_campaign_does_not_end_over_numbers_that_come_meanwhile,
    campaigns::numbers_that_are_added_again_under_one_name_are_called_once,
    campaigns::whoever_pauses_a_campaign_or_dials_it_elsewhere_is_obeyed_at_once,
    campaigns::a_campaign_that_was_cancelled_takes_no_numbers_whatever_still_rings,
    campaigns::s6_a_list_under_a_name_of_the_company_is_one_campaign,
    campaigns::a_merchant_has_so_many_open_campaigns_at_most,
    campaigns::a_campaign_that_nobody_can_read_stops_no_other,
    campaigns::case_69_a_call_that_a_restart_cut_off_is_no_call,
    campaigns::case_69_a_number_that_no_carrier_has_room_for_waits,
    campaigns::s4_4_a_try_that_found_no_room_is_told_to_nobody,
    campaigns::whoever_has_the_most_agents_may_take_a_campaign,
    campaigns::what_ended_long_ago_is_forgotten_with_its_numbers,
    campaigns_v1::a_number_that_nobody_answers_is_called_as_often_as_was_said,
    campaigns_v1::what_becomes_of_a_campaign_is_told_once,
    campaigns_v1::numbers_that_are_added_under_a_name_are_added_once,
    campaigns_v1::case_69_a_sound_that_cannot_be_had_pauses_a_campaign_and_spends_no_number,
    campaigns_v1::s4_4_a_try_that_found_no_room_is_told_to_its_end_at_v1,
    campaigns_v1::one_number_in_two_spellings_is_called_once_and_so_many_are_kept_at_most,
    campaigns_v1::a_campaign_without_numbers_waits_for_some,
    campaigns_v1::an_event_of_a_campaign_has_an_id_of_its_own_whatever_was_forgotten,
    campaigns_v1::a_try_that_was_noted_is_not_noted_as_the_next_one,
    calls::authorize_holds_both_legs_and_a_repeat_holds_nothing_more,
    calls::case_47_a_thousand_parallel_starts_with_credit_for_one,
    calls::case_48_credit_runs_out_on_time_and_never_below_zero,
    calls::case_49_a_call_settled_twice_is_charged_once,
    calls::case_50_with_thirty_six_the_cdr_is_the_sum_of_the_ledger,
    calls::case_51_amounts_of_a_thousand_and_more_are_debited_whole,
    calls::case_52_a_call_ended_by_a_timer_is_billed,
    calls::case_53_each_leg_is_debited_by_its_own_answer,
    calls::case_54_parallel_calls_are_all_billed,
    calls::a_cdr_tells_what_was_spoken_and_what_protected_it,
    calls::case_55_a_lost_bye_is_never_billed_past_the_paid_limit,
    calls::case_58_a_charge_takes_from_the_merchant_and_adds_to_revenue,
    calls::what_was_held_for_a_leg_that_was_not_called_goes_back,
    calls::a_request_key_starts_one_call_for_thirty_days,
    calls::refusals_write_nothing,
    calls::a_sub_account_spends_the_balance_of_its_merchant,
    calls::extensions_are_free_and_need_no_balance,
    calls::a_promised_price_holds_for_the_whole_call,
    calls::a_restart_finds_open_calls_and_settles_each_once,
    calls::an_authorization_nobody_heard_of_is_taken_back,
    calls::a_commit_in_flight_is_waited_for_and_taken_back,
    calls::a_caller_who_rang_us_is_on_record_and_pays_nothing,
    calls::a_statement_that_hangs_is_given_up_and_the_next_one_works,
    calls::an_export_waits_for_writers_but_not_for_ever,
    calls::a_list_passes_over_no_row_whose_commit_comes_late,
    calls::an_id_that_is_in_use_is_not_granted_to_another_call,
    calls::each_process_finds_its_own_open_calls,
    calls::a_journal_write_after_settlement_leaves_no_trace,
    calls::papers_outlive_their_call_until_the_far_end_knows,
    calls::records_are_read_by_app_in_order_of_settlement,
    conferences::s3_6_a_number_is_somebodys_until_its_call_is_settled,
    conferences::s3_6_a_booking_is_begun_once_and_kept_over_a_restart,
    conferences::s3_6_a_booking_is_made_once_for_each_key_and_so_many_at_most,
    conferences::s3_6_bookings_of_one_merchant_hold_up_nobody_else,
    conferences::s3_9_each_participant_is_charged_and_told_of_by_himself,
    desk::case_49_what_is_settled_does_not_wait_for_sounds,
    desk::s4_9_the_same_sound_sent_in_twice_at_once_is_kept_for_both,
    desk::s4_9_a_sound_that_lost_its_name_is_kept_for_a_while,
    desk::s4_9_sounds_of_a_company_are_kept_whole_and_within_bounds,
    desk::s4_9_who_signs_in_or_out_is_what_the_engine_reads,
    fraud::f15_stolen_credentials_spend_no_more_than_the_sum_of_an_hour,
    fraud::f15_a_call_that_is_up_ends_where_the_sum_does,
    fraud::f15_a_leg_that_an_extension_asks_for_is_under_its_limits_as_well,
    fraud::f15_what_is_taken_back_was_not_spent,
    fraud::f15_a_minute_may_cost_no_more_and_a_new_country_waits,
    fraud::f15_a_limit_that_only_warns_lets_through_and_tells,
    fraud::a_carriers_marks_and_what_goes_on_to_it_are_judged,
    fraud::limits_and_pools_are_kept_judged_and_read_by_the_engine,
    recorded::who_is_recorded_is_kept_told_and_read_by_the_engine,
    payments::s5_3_the_same_invoice_again_is_the_same_link_three_times_at_most,
    payments::s5_3_another_price_is_another_invoice_and_a_paid_one_stays_paid,
    payments::s5_3_what_is_verified_again_is_booked_once,
    payments::s5_3_parallel_ways_to_pay_one_invoice_are_one,
    payments::s5_3_an_amount_that_differs_is_not_booked,
    payments::s5_3_a_link_lapses_but_not_under_who_is_paying,
    refunds::s5_3_a_refund_is_posted_before_it_is_asked_for_and_undone_if_refused,
    refunds::s5_3_by_hand_and_by_the_gateway_money_goes_back_once,
    refunds::s5_3_refunds_are_asked_after_by_one_process_at_a_time_over_a_restart_too,
    refunds::s5_3_a_gateway_changes_when_nothing_is_under_way_there,
    refunds::s5_3_a_file_and_a_way_at_once_are_one_after_the_other,
    refunds::s5_3_what_is_paid_without_money_is_not_what_a_merchant_is_due,
    refunds::s5_3_a_way_that_was_left_may_be_asked_after_unless_it_was_cancelled_or_replaced,
    refunds::s5_3_a_way_of_long_ago_is_not_taken_up_and_what_lapsed_lapsed_then,
    refunds::s5_3_a_question_that_takes_is_noted_until_it_is_answered,
    refunds::s5_3_a_refund_of_which_nothing_is_known_is_told_of_once_an_hour,
    refunds::nothing_that_pays_or_sends_is_in_what_programs_write_down,
    payments::s5_4_each_filter_of_get_payments,
    payments::s5_5_a_message_is_sent_by_one_worker_and_tried_again,
    payments::who_asks_where_is_paid_and_what_sends_links_stand_in_the_file,
    payments::s5_3_a_process_that_dies_between_verifying_and_booking_leaves_it_to_the_next,
    policies::s6_policies_and_lists_are_what_the_engine_reads,
    policies::s6_a_list_that_a_policy_names_stays_whatever_its_name,
    policies::s6_a_list_is_read_again_when_it_has_changed,
    policies::s6_policies_that_cannot_be_are_told_with_their_path,
    policies::s3_3_templates_belong_to_a_merchant_and_mistakes_have_a_path,
    policies::s6_a_hundred_parallel_starts_ring_a_number_five_times,
    outbox::case_43_settling_tells_the_end_of_extensions_that_nobody_told,
    outbox::a_call_keeps_its_order_and_never_blocks_another,
    outbox::the_bytes_are_stored_once_and_stay_the_same,
    outbox::a_lapsed_lease_gives_the_row_back,
    outbox::a_result_that_is_noted_again_after_a_lost_answer_is_one_attempt,
    outbox::a_parked_row_waits_for_redelivery,
    outbox::what_was_parked_while_it_was_sent_stays_parked,
    outbox::a_crowd_at_one_server_does_not_delay_another,
    outbox::a_state_is_promised_once,
    outbox::many_reports_and_a_lease_are_one_visit,
    outbox::a_row_that_cannot_be_written_is_leased_with_the_reason,
    outbox::in_system_001_a_record_waits_for_the_first_try_of_earlier_states,
    numbers::a_number_has_the_scenario_that_its_merchant_gave_it_last,
    numbers::a_number_that_passes_to_another_merchant_has_none_of_the_former_ones,
    numbers::scenarios_of_numbers_are_known_to_another_process_and_kept_over_a_restart,
    objects::applying_twice_changes_nothing,
    objects::an_extension_has_its_own_way_of_taking_keys_or_none,
    objects::empty_secrets_and_names_that_break_signed_texts_are_refused,
    objects::what_is_not_migrated_yet_is_told_without_doing_it,
    objects::a_limit_of_nothing_is_refused_with_the_word_for_it,
    objects::empty_names_are_mistakes,
    objects::biz_regist_ends_at_ten_thousand_sub_accounts,
    objects::mistakes_are_told_all_at_once_and_nothing_is_written,
    twice::whatever_new_is_in_the_file_twice_is_told_with_every_other_mistake,
    twice::two_companies_with_one_appid_and_accesskey_are_refused,
    twice::a_number_twice_is_found_by_the_number_plan_of_the_same_file,
    objects::a_carriers_manners_are_kept_and_judged,
    objects::a_carrier_may_be_a_name,
    objects::a_tariff_keeps_the_currency_of_those_who_have_it,
    objects::a_trunks_options_are_kept_and_judged,
    objects::a_dry_run_shows_the_difference_and_keeps_the_store,
    objects::changes_are_named_and_prices_take_effect,
    objects::prune_takes_away_what_the_file_no_longer_names,
    objects::a_route_says_what_is_wrong_with_its_share_price_and_hours,
    groups::groups_and_wishes_are_kept_and_what_is_wrong_with_them_is_told,
    objects::a_top_up_is_booked_once,
    objects::the_snapshot_is_what_was_applied,
    objects::biz_regist_hands_out_rising_numbers_and_knows_a_repeat,
    objects::a_registration_that_is_repeated_after_a_lost_answer_makes_one_account,
    objects::system_001_and_002_objects_read_back,
    objects::a_company_of_system_002_reads_back,
    objects::a_company_has_one_token_until_it_expires_or_its_key_changes,
    objects::bindings_outlive_a_restart,
    random::random_steps_keep_the_books,
    voicemail::a_message_comes_with_its_settlement_and_is_counted_heard_and_deleted,
    voicemail::a_mailbox_is_named_by_its_word_or_by_an_extension,
    webhooks::events_are_listed_once_and_go_to_each_webhook_that_wants_them,
    webhooks::a_webhook_that_fails_for_five_days_is_stopped,
    webhooks::a_key_is_a_hash_and_ends_for_good,
    webhooks::s6_a_request_that_becomes_no_call_is_known_when_it_is_repeated,
    webhooks::a_stream_from_now_on_skips_no_event_whose_commit_comes_late,
    webhooks::who_waits_for_writers_keeps_no_connection,
    webhooks::what_is_forgotten_goes_a_few_thousand_rows_at_a_time,
    trail::every_change_says_who_when_and_what_it_was_before,
    trail::an_act_that_is_noted_again_after_a_lost_answer_is_one_entry,
    trail::every_changed_byte_of_the_trail_is_found,
    trail::entries_that_are_gone_are_missed,
    trail::the_first_chained_entry_covers_those_before_the_chain,
}
