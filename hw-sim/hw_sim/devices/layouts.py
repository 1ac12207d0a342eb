"""Where the points of the SunSpec information models lie.

Source: SunSpec Alliance, SunSpec Information Model definitions (models 1, 103, 120, 122, 123, 124, 160, 203, 802).
A point is written as name:type, @scale factor's name, ! where it may be written. `ID` and `L` come first in every
model.
"""

COMMON_1 = "Mn:str16 Md:str16 Opt:str8 Vr:str8 SN:str16 DA:u16! Pad:pad"

INVERTER_103 = """
A:u16@A_SF AphA:u16@A_SF AphB:u16@A_SF AphC:u16@A_SF A_SF:sf PPVphAB:u16@V_SF PPVphBC:u16@V_SF PPVphCA:u16@V_SF
PhVphA:u16@V_SF PhVphB:u16@V_SF PhVphC:u16@V_SF V_SF:sf W:i16@W_SF W_SF:sf Hz:u16@Hz_SF Hz_SF:sf VA:i16@VA_SF
VA_SF:sf VAr:i16@VAr_SF VAr_SF:sf PF:i16@PF_SF PF_SF:sf WH:acc32@WH_SF WH_SF:sf DCA:u16@DCA_SF DCA_SF:sf
DCV:u16@DCV_SF DCV_SF:sf DCW:i16@DCW_SF DCW_SF:sf TmpCab:i16@Tmp_SF TmpSnk:i16@Tmp_SF TmpTrns:i16@Tmp_SF
TmpOt:i16@Tmp_SF Tmp_SF:sf St:enum16 StVnd:enum16 Evt1:bits32 Evt2:bits32 EvtVnd1:bits32 EvtVnd2:bits32
EvtVnd3:bits32 EvtVnd4:bits32
"""

NAMEPLATE_120 = """
DERTyp:enum16 WRtg:u16@WRtg_SF WRtg_SF:sf VARtg:u16@VARtg_SF VARtg_SF:sf VArRtgQ1:i16@VArRtg_SF
VArRtgQ2:i16@VArRtg_SF VArRtgQ3:i16@VArRtg_SF VArRtgQ4:i16@VArRtg_SF VArRtg_SF:sf ARtg:u16@ARtg_SF ARtg_SF:sf
PFRtgQ1:i16@PFRtg_SF PFRtgQ2:i16@PFRtg_SF PFRtgQ3:i16@PFRtg_SF PFRtgQ4:i16@PFRtg_SF PFRtg_SF:sf
WHRtg:u16@WHRtg_SF WHRtg_SF:sf AhrRtg:u16@AhrRtg_SF AhrRtg_SF:sf MaxChaRte:u16@MaxChaRte_SF MaxChaRte_SF:sf
MaxDisChaRte:u16@MaxDisChaRte_SF MaxDisChaRte_SF:sf Pad:pad
"""

STATUS_122 = """
PVConn:bits16 StorConn:bits16 ECPConn:bits16 ActWh:acc64 ActVAh:acc64 ActVArhQ1:acc64 ActVArhQ2:acc64
ActVArhQ3:acc64 ActVArhQ4:acc64 VArAval:i16@VArAval_SF VArAval_SF:sf WAval:u16@WAval_SF WAval_SF:sf
StSetLimMsk:bits32 StActCtl:bits32 TmSrc:str4 Tms:u32 RtSt:bits16 Ris:u16@Ris_SF Ris_SF:sf
"""

_MODULE_160 = """
{n}_ID:u16 {n}_IDStr:str8 {n}_DCA:u16@DCA_SF {n}_DCV:u16@DCV_SF {n}_DCW:u16@DCW_SF {n}_DCWH:acc32@DCWH_SF
{n}_Tms:u32 {n}_Tmp:i16 {n}_DCSt:enum16 {n}_DCEvt:bits32
"""
MPPT_160 = "DCA_SF:sf DCV_SF:sf DCW_SF:sf DCWH_SF:sf Evt:bits32 N:u16 TmsPer:u16 " + "".join(
    _MODULE_160.format(n=n) for n in (1, 2, 3)
)
"""With three modules: the roof's string, charging, discharging."""

CONTROLS_123 = """
Conn_WinTms:u16! Conn_RvrtTms:u16! Conn:enum16! WMaxLimPct:u16@WMaxLimPct_SF! WMaxLimPct_WinTms:u16!
WMaxLimPct_RvrtTms:u16! WMaxLimPct_RmpTms:u16! WMaxLim_Ena:enum16! OutPFSet:i16@OutPFSet_SF!
OutPFSet_WinTms:u16! OutPFSet_RvrtTms:u16! OutPFSet_RmpTms:u16! OutPFSet_Ena:enum16! VArWMaxPct:i16@VArPct_SF!
VArMaxPct:i16@VArPct_SF! VArAvalPct:i16@VArPct_SF! VArPct_WinTms:u16! VArPct_RvrtTms:u16! VArPct_RmpTms:u16!
VArPct_Mod:enum16! VArPct_Ena:enum16! WMaxLimPct_SF:sf OutPFSet_SF:sf VArPct_SF:sf
"""

STORAGE_124 = """
WChaMax:u16@WChaMax_SF! WChaGra:u16@WChaDisChaGra_SF! WDisChaGra:u16@WChaDisChaGra_SF! StorCtl_Mod:bits16!
VAChaMax:u16@VAChaMax_SF! MinRsvPct:u16@MinRsvPct_SF! ChaState:u16@ChaState_SF StorAval:u16@StorAval_SF
InBatV:u16@InBatV_SF ChaSt:enum16 OutWRte:i16@InOutWRte_SF! InWRte:i16@InOutWRte_SF! InOutWRte_WinTms:u16!
InOutWRte_RvrtTms:u16! InOutWRte_RmpTms:u16! ChaGriSet:enum16! WChaMax_SF:sf WChaDisChaGra_SF:sf VAChaMax_SF:sf
MinRsvPct_SF:sf ChaState_SF:sf StorAval_SF:sf InBatV_SF:sf InOutWRte_SF:sf
"""

METER_203 = """
A:i16@A_SF AphA:i16@A_SF AphB:i16@A_SF AphC:i16@A_SF A_SF:sf PhV:i16@V_SF PhVphA:i16@V_SF PhVphB:i16@V_SF
PhVphC:i16@V_SF PPV:i16@V_SF PhVphAB:i16@V_SF PhVphBC:i16@V_SF PhVphCA:i16@V_SF V_SF:sf Hz:i16@Hz_SF Hz_SF:sf
W:i16@W_SF WphA:i16@W_SF WphB:i16@W_SF WphC:i16@W_SF W_SF:sf VA:i16@VA_SF VAphA:i16@VA_SF VAphB:i16@VA_SF
VAphC:i16@VA_SF VA_SF:sf VAR:i16@VAR_SF VARphA:i16@VAR_SF VARphB:i16@VAR_SF VARphC:i16@VAR_SF VAR_SF:sf
PF:i16@PF_SF PFphA:i16@PF_SF PFphB:i16@PF_SF PFphC:i16@PF_SF PF_SF:sf TotWhExp:acc32@TotWh_SF
TotWhExpPhA:acc32@TotWh_SF TotWhExpPhB:acc32@TotWh_SF TotWhExpPhC:acc32@TotWh_SF TotWhImp:acc32@TotWh_SF
TotWhImpPhA:acc32@TotWh_SF TotWhImpPhB:acc32@TotWh_SF TotWhImpPhC:acc32@TotWh_SF TotWh_SF:sf
TotVAhExp:acc32@TotVAh_SF TotVAhExpPhA:acc32@TotVAh_SF TotVAhExpPhB:acc32@TotVAh_SF TotVAhExpPhC:acc32@TotVAh_SF
TotVAhImp:acc32@TotVAh_SF TotVAhImpPhA:acc32@TotVAh_SF TotVAhImpPhB:acc32@TotVAh_SF TotVAhImpPhC:acc32@TotVAh_SF
TotVAh_SF:sf TotVArhImpQ1:acc32@TotVArh_SF TotVArhImpQ1PhA:acc32@TotVArh_SF TotVArhImpQ1PhB:acc32@TotVArh_SF
TotVArhImpQ1PhC:acc32@TotVArh_SF TotVArhImpQ2:acc32@TotVArh_SF TotVArhImpQ2PhA:acc32@TotVArh_SF
TotVArhImpQ2PhB:acc32@TotVArh_SF TotVArhImpQ2PhC:acc32@TotVArh_SF TotVArhExpQ3:acc32@TotVArh_SF
TotVArhExpQ3PhA:acc32@TotVArh_SF TotVArhExpQ3PhB:acc32@TotVArh_SF TotVArhExpQ3PhC:acc32@TotVArh_SF
TotVArhExpQ4:acc32@TotVArh_SF TotVArhExpQ4PhA:acc32@TotVArh_SF TotVArhExpQ4PhB:acc32@TotVArh_SF
TotVArhExpQ4PhC:acc32@TotVArh_SF TotVArh_SF:sf Evt:bits32
"""

BATTERY_802 = """
AHRtg:u16@AHRtg_SF WHRtg:u16@WHRtg_SF WChaRteMax:u16@WChaDisChaMax_SF WDisChaRteMax:u16@WChaDisChaMax_SF
DisChaRte:u16@DisChaRte_SF SoCMax:u16@SoC_SF SoCMin:u16@SoC_SF SocRsvMax:u16@SoC_SF! SoCRsvMin:u16@SoC_SF!
SoC:u16@SoC_SF DoD:u16@DoD_SF SoH:u16@SoH_SF NCyc:u32 ChaSt:enum16 LocRemCtl:enum16 Hb:u16 CtrlHb:u16!
AlmRst:u16! Typ:enum16 State:enum16 StateVnd:enum16 WarrDt:u32 Evt1:bits32 Evt2:bits32 EvtVnd1:bits32
EvtVnd2:bits32 V:u16@V_SF VMax:u16@V_SF VMin:u16@V_SF CellVMax:u16@CellV_SF CellVMaxStr:u16 CellVMaxMod:u16
CellVMin:u16@CellV_SF CellVMinStr:u16 CellVMinMod:u16 CellVAvg:u16@CellV_SF A:i16@A_SF AChaMax:u16@AMax_SF
ADisChaMax:u16@AMax_SF W:i16@W_SF ReqInvState:enum16 ReqW:i16@W_SF SetOp:enum16! SetInvState:enum16! AHRtg_SF:sf
WHRtg_SF:sf WChaDisChaMax_SF:sf DisChaRte_SF:sf SoC_SF:sf DoD_SF:sf SoH_SF:sf V_SF:sf CellV_SF:sf A_SF:sf
AMax_SF:sf W_SF:sf
"""
